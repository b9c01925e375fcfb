#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sched.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "capdiff/backends/processor.h"
#include "capdiff/evaluation/speed.h"

namespace capdiff {
namespace {

using OrderedJson = nlohmann::ordered_json;

/// Cores that this process may run on.
int usable_cores() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  return ::sched_getaffinity(0, sizeof(cores), &cores) == 0 ? CPU_COUNT(&cores) : 0;
}

double per_second(double amount, double seconds) {
  return seconds > 0.0 ? amount / seconds : 0.0;
}

void add_if(OrderedJson& json, const char* name, const auto& value) {
  if (value) json[name] = *value;
}

OrderedJson times_json(const RunTimes& times) {
  return {{"median", times.median()}, {"min", times.fastest()}, {"max", times.slowest()}};
}

/// "seconds" and what follows from them.
void add_times(OrderedJson& json, const RunTimes& times, std::int64_t images) {
  const auto count = static_cast<double>(images);
  json["seconds"] = times_json(times);
  json["images_per_second"] = per_second(count, times.median());
  json["ms_per_image"] = 1000.0 * times.median() / count;
}

OrderedJson tally_json(const Tally& tally) {
  return {{"calls", tally.calls},
          {"seconds", tally.seconds},
          {"gflop", tally.flop / 1e9},
          {"gigabytes", tally.bytes / 1e9},
          {"gflops_per_second", per_second(tally.flop, tally.seconds) / 1e9}};
}

OrderedJson stages_json(const SpeedReport& report) {
  OrderedJson stages = OrderedJson::object();
  for (const auto& [stage, tally] : report.measured.stages) {
    OrderedJson& json = stages[std::string(name_of(stage))] = tally_json(tally);
    if (!report.ceilings) continue;
    const auto ceiling = stage_ceiling(tally, *report.ceilings);
    if (!ceiling) continue;
    json["ceiling_gflops_per_second"] = per_second(tally.flop, ceiling->matrix_seconds) / 1e9;
    json["bound"] = ceiling->bound_by_memory() ? "memory" : "matrix";
    json["share_of_ceiling"] = ceiling->seconds() / tally.seconds;
  }
  return stages;
}

OrderedJson ceilings_json(const Ceilings& ceilings) {
  OrderedJson products = OrderedJson::array();
  for (const auto& [product, seconds] : ceilings.product_seconds)
    products.push_back({{"rows", product.rows},
                        {"in", product.in},
                        {"out", product.out},
                        {"gflops_per_second", per_second(product.flop(), seconds) / 1e9}});
  return {{"gigabytes_per_second", ceilings.bytes_per_second / 1e9}, {"products", products}};
}

std::string times_text(const RunTimes& times) {
  return fmt::format("{:.4f} s ({:.4f}–{:.4f} of {})", times.median(), times.fastest(), times.slowest(),
                     times.seconds.size());
}

std::string work_text(const SpeedReport& report) {
  std::string text = fmt::format("{} pictures in batches of {}", report.images, report.batch);
  if (report.candidates != 1) text += fmt::format(", {} candidates", report.candidates);
  if (report.steps) text += fmt::format(", {} steps", *report.steps);
  if (report.guidance) text += fmt::format(", guidance {:g}", *report.guidance);
  if (report.beams) text += fmt::format(", {} beams", *report.beams);
  if (report.length) text += fmt::format(", length {}", *report.length);
  return text;
}

/// One stage; of the least time that the ceilings allow it, where they are known.
std::string stage_line(std::string_view name, const StageTally& tally, double total,
                       const std::optional<Ceilings>& ceilings) {
  std::string line = fmt::format("{:<12}{:>7}{:>10.4f}{:>7.1f} %{:>10.3f}{:>10.4f}{:>10.1f}", name, tally.calls,
                                 tally.seconds, 100.0 * per_second(tally.seconds, total), tally.flop / 1e9,
                                 tally.bytes / 1e9, per_second(tally.flop, tally.seconds) / 1e9);
  if (const auto ceiling = ceilings ? stage_ceiling(tally, *ceilings) : std::nullopt)
    line += fmt::format("{:>10.1f}{:>9.0f} % of {}", per_second(tally.flop, ceiling->matrix_seconds) / 1e9,
                        100.0 * ceiling->seconds() / tally.seconds, ceiling->bound_by_memory() ? "memory" : "matrix");
  return line + "\n";
}

std::string stage_table(const SpeedReport& report) {
  std::string table = fmt::format("\n{:<12}{:>7}{:>10}{:>9}{:>10}{:>10}{:>10}", "stage", "calls", "seconds", "share",
                                  "GFLOP", "GB", "GFLOP/s");
  if (report.ceilings) table += fmt::format("{:>10}{:>11}", "products", "ceiling");
  table += "\n";
  const double total = report.measured.seconds();
  for (const auto& [stage, tally] : report.measured.stages)
    table += stage_line(name_of(stage), tally, total, report.ceilings);
  if (report.ceilings)
    table += fmt::format(
        "\nproducts: GFLOP/s of the stage's linear layers alone, hot; memory: {:.1f} GB/s.\nceiling: the share of the "
        "stage's time that its products would take at that rate or its bytes at that bandwidth, the longer of both\n",
        report.ceilings->bytes_per_second / 1e9);
  return table;
}

std::string operation_table(const Measurements& measured) {
  std::vector<std::pair<std::string, Tally>> operations(measured.operations.begin(), measured.operations.end());
  std::ranges::stable_sort(operations, std::ranges::greater(), [](const auto& kind) { return kind.second.seconds; });
  std::string table = fmt::format("\n{:<12}{:>7}{:>10}\n", "operation", "calls", "seconds");
  for (const auto& [kind, tally] : operations)
    table += fmt::format("{:<12}{:>7}{:>10.4f}\n", kind, tally.calls, tally.seconds);
  return table;
}

std::string dtypes_text(const SpeedReport& report) {
  const auto& [best, times] = report.fastest();
  std::string text = fmt::format("\nfastest type here: {}", best);
  for (const auto& [dtype, other] : report.dtypes)
    if (dtype != best) text += fmt::format("; {} takes {:.2f} times as long", dtype, other.median() / times.median());
  return text + "\n";
}

}  // namespace

nlohmann::ordered_json to_json(const SpeedReport& report) {
  OrderedJson json{{"model", report.model},   {"model_type", report.model_type}, {"backend", report.backend},
                   {"dtype", report.dtype},   {"threads", report.threads},       {"batch", report.batch},
                   {"images", report.images}, {"candidates", report.candidates}};
  add_if(json, "steps", report.steps);
  add_if(json, "guidance", report.guidance);
  add_if(json, "beams", report.beams);
  add_if(json, "length", report.length);
  if (!report.times.seconds.empty()) {
    json["repeats"] = report.times.seconds.size();
    add_times(json, report.times, report.images);
    json["stages"] = stages_json(report);
    for (const auto& [kind, tally] : report.measured.operations)
      json["operations"][kind] = {{"calls", tally.calls}, {"seconds", tally.seconds}};
    json["gflop"] = report.measured.flop() / 1e9;
  }
  for (const auto& [length, times] : report.latency) {
    OrderedJson line{{"length", length}, {"repeats", times.seconds.size()}};
    add_times(line, times, report.images);
    json["latency"].push_back(std::move(line));
  }
  for (const auto& [dtype, times] : report.dtypes) {
    OrderedJson line{{"dtype", dtype}};
    add_times(line, times, report.images);
    json["dtypes"].push_back(std::move(line));
  }
  if (!report.dtypes.empty()) json["fastest"] = report.fastest().first;
  json["peak_memory_mb"] = report.peak_memory / 1e6;
  if (report.ceilings) json["ceilings"] = ceilings_json(*report.ceilings);
  json["hardware"] = {{"processor", processor_name()}, {"cores", usable_cores()}, {"flags", processor_flags()}};
  json["versions"] = {{"capdiff", CAPDIFF_VERSION}, {report.backend, report.library_version}};
  return json;
}

std::string to_table(const SpeedReport& report) {
  std::string table = fmt::format("{} ({}): {} {}, {}, {} threads\n{}, {} cores: {}\n{}; at most {:.0f} MB\n",
                                  report.model, report.model_type, report.backend, report.library_version, report.dtype,
                                  report.threads, processor_name(), usable_cores(), fmt::join(processor_flags(), " "),
                                  work_text(report), report.peak_memory / 1e6);
  if (!report.times.seconds.empty()) {
    const auto images = static_cast<double>(report.images);
    table += fmt::format("{}: {:.2f} images/s, {:.2f} ms an image, {:.1f} GFLOP/s\n", times_text(report.times),
                         images / report.times.median(), 1000.0 * report.times.median() / images,
                         report.measured.flop() / report.times.median() / 1e9);
    table += stage_table(report) + operation_table(report.measured);
  }
  if (!report.latency.empty()) table += fmt::format("\n{:>6}  seconds\n", "length");
  for (const auto& [length, times] : report.latency) table += fmt::format("{:>6}  {}\n", length, times_text(times));
  if (!report.dtypes.empty()) table += dtypes_text(report);
  return table;
}

}  // namespace capdiff
