# Sourced by the scripts that make tables of ablations. They set $dataset, $images, $split, and the array $options of
# options of capdiff train. Models are made in runs/ablations/.
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
capdiff=${CAPDIFF:-build/bin/capdiff}

# scores RECIPE METRIC,… [option of capdiff evaluate…] - trains recipes/ablations/RECIPE.toml where that has not been
# done, and prints the corpus scores of its model, a line each, as they stand in the report.
scores() {
  local recipe=$1 metrics=$2 model=runs/ablations/$1 report
  shift 2
  [[ -d $model/model ]] ||
    "$capdiff" train "recipes/ablations/$recipe.toml" --set "output=$model" "${options[@]}" >&2
  report=$("$capdiff" evaluate -m "$model/model" --dataset "$dataset" --images "$images" --split "$split" --json "$@")
  for metric in ${metrics//,/ }; do
    sed -n "s/^ *\"$metric\": \([0-9.e-]*\),*\$/\1/p" <<<"$report" | head -n 1
  done
}
