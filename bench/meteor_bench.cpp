/// How long METEOR takes, and how much memory. Captions are those of a file, dealt out in turn: each image gets one as
/// its candidate and the next ones as its references.
///   meteor_bench captions.tsv.gz [--images 25000] [--references 5] [--threads 2] [--meteor-data DIR]
#include <fmt/format.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <chrono>

#include "capdiff/base/error.h"
#include "capdiff/formats/captions_tsv.h"
#include "capdiff/metrics/meteor.h"
#include "capdiff/metrics/ptb_tokenizer.h"

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

int main(int argc, char** argv) try {
  std::string file, data;
  std::size_t images = 25000, references = 5;
  int threads = 2;
  CLI::App app("Times METEOR");
  app.add_option("CAPTIONS", file, "source<TAB>caption lines, plain or gzip")->required();
  app.add_option("--images", images)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--references", references)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--threads", threads)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--meteor-data", data, "METEOR's data folder; WordNet where it is not given");
  CLI11_PARSE(app, argc, argv);

  std::vector<capdiff::EvaluatedCaption> captions;
  {
    const auto texts = capdiff::read_captions_tsv(file);
    std::size_t next = 0;
    const auto deal = [&] { return texts[next++ % texts.size()].caption; };
    for (std::size_t i = 0; i < images; ++i) {
      capdiff::EvaluatedCaption caption{std::to_string(i), deal(), {}};
      for (std::size_t r = 0; r < references; ++r) caption.references.push_back(deal());
      captions.push_back(std::move(caption));
    }
  }
  const auto scored = capdiff::tokenize_images(captions, capdiff::PtbTokenizer());
  const auto start = Clock::now();
  const capdiff::Meteor meteor(data.empty() ? capdiff::MeteorResources::from_debian()
                                            : capdiff::MeteorResources::from_folder(data));
  const double loading = seconds_since(start);
  const auto ready = Clock::now();
  const auto result = capdiff::meteor(scored, meteor, threads);
  const double scoring = seconds_since(ready);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  fmt::print("{} captions, {} references each, {} threads, {}\n", images, references, threads, meteor.signature());
  fmt::print("METEOR {:.6f}; {:.2f} s to load, {:.2f} s to score; at most {} MB of memory\n", result.corpus, loading,
             scoring, usage.ru_maxrss / 1000);
  return 0;
} catch (const capdiff::Error& error) {
  fmt::print(stderr, "meteor_bench: {}\n", error.what());
  return 1;
}
