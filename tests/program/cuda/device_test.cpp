// Whole experiments with --device cuda, beside the same run on the CPU: the loss curves agree.
#include <doctest/doctest.h>

#include <cmath>
#include <sstream>

#include <gradus/tests/program/child.h>

using namespace gradus::experiments::test;

namespace {

/// One column of a log.csv.
std::vector<double> column(const std::string& csv, const std::string& name) {
  std::istringstream lines(csv);
  std::string line, cell;
  std::getline(lines, line);
  std::size_t index = 0, at = std::string::npos;
  for (std::istringstream head(line); std::getline(head, cell, ','); ++index)
    if (cell == name) at = index;
  REQUIRE(at != std::string::npos);
  std::vector<double> values;
  while (std::getline(lines, line)) {
    std::istringstream row(line);
    for (std::size_t i = 0; i <= at; ++i) std::getline(row, cell, ',');
    values.push_back(std::stod(cell));
  }
  return values;
}

/// Runs the experiment on both devices. Rounding differs, and training amplifies it: by `tolerance` at most, relative to 1 or the loss.
void check_both_devices(const std::string& experiment, const std::string& metric, double tolerance) {
  const Folder folder;
  std::vector<double> curves[2];
  for (const int i : {0, 1}) {
    const std::string device = i == 0 ? "cpu" : "cuda";
    const Result r = run_gradus(folder, {"run", experiment, "--quick", "--device", device, "--out", device});
    INFO(r.err);
    REQUIRE(r.code == 0);  // 86 would be a finding of the emulator
    curves[i] = column(folder.read(device + "/log.csv"), metric);
    CHECK(folder.read(device + "/result.json").find("\"device\": \"" + device + "\"") != std::string::npos);
  }
  REQUIRE(curves[0].size() == curves[1].size());
  CHECK(curves[0].size() > 0);
  double worst = 0;
  for (std::size_t i = 0; i < curves[0].size(); ++i)
    worst = std::fmax(worst, std::abs(curves[0][i] - curves[1][i]) / std::fmax(1.0, std::abs(curves[0][i])));
  MESSAGE(experiment << ": " << curves[0].size() << " logged values of " << metric << ", largest difference " << worst);
  CHECK(worst <= tolerance);
}

}  // namespace

TEST_CASE("cuda: simclr follows the CPU's loss curve") { check_both_devices("simclr", "loss", 2e-3); }
TEST_CASE("cuda: maml follows the CPU's loss curve") { check_both_devices("maml", "query_loss", 2e-3); }
TEST_CASE("cuda: adversarial training follows the CPU's loss curve") { check_both_devices("adversarial_training", "loss", 2e-3); }
