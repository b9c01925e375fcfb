# Sourced by the scripts that make tables of ablations. They set $dataset, $images, $split, and the array $options of
# options of capdiff train. Models are made in runs/ablations/.
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
capdiff=${CAPDIFF:-build/bin/capdiff}

# report RECIPE [option of capdiff evaluate…] - trains recipes/ablations/RECIPE.toml where that has not been done, and
# prints what capdiff evaluate says of its model, in JSON.
report() {
  local model=runs/ablations/$1
  [[ -d $model/model ]] ||
    "$capdiff" train "recipes/ablations/$1.toml" --set "output=$model" "${options[@]}" >&2
  "$capdiff" evaluate -m "$model/model" --dataset "$dataset" --images "$images" --split "$split" --json "${@:2}"
}

# value METRIC - the first value of that name in the JSON of standard input.
value() { sed -n "s/.*\"$1\": \([0-9.e-]*\).*/\1/p" | head -n 1; }
