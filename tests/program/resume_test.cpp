// Interrupts, kills and --resume: a run that was stopped ends like one that was not.
#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <random>
#include <thread>

#include <nlohmann/json.hpp>

#include <gradus/tests/program/child.h>

using namespace gradus::experiments::test;
using Json = nlohmann::ordered_json;

namespace {

Json result_of(const Folder& folder, const std::string& run) {
  Json result = Json::parse(folder.read(run + "/result.json"));
  result.erase("cost");
  return result;
}

// Same figures, log and plot; and the same checkpoint, where both kept one.
void check_same_run(const Folder& folder, const std::string& a, const std::string& b) {
  Json first = result_of(folder, a), second = result_of(folder, b);
  CHECK(first.dump() == second.dump());
  CHECK(folder.read(a + "/log.csv") == folder.read(b + "/log.csv"));
  CHECK(folder.read(a + "/loss.svg") == folder.read(b + "/loss.svg"));
  CHECK(folder.files(a) == folder.files(b));
}

// The tensors of a checkpoint, without the header that also holds what the run has cost.
std::string tensors_of(const std::string& file) {
  std::size_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | static_cast<unsigned char>(file[static_cast<std::size_t>(i)]);
  return file.substr(8 + length);
}

void wait_for_rows(const Folder& folder, const std::string& log, long rows) {
  for (int i = 0; i < 12000; ++i) {
    if (folder.has(log)) {
      const std::string text = folder.read(log);
      if (std::count(text.begin(), text.end(), '\n') > rows) return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  FAIL("the run has not logged its rows within a minute");
}

// 20 + 8 steps of 10 ms.
const std::vector<std::string> kSlow = {"run", "fake", "--set", "milliseconds=10", "--set", "train_steps=20", "--set", "polish_steps=8"};

std::vector<std::string> slow(std::vector<std::string> more) {
  std::vector<std::string> arguments = kSlow;
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("kill -9 at any step and --resume give what the unbroken run gives") {
  const Folder folder;
  CHECK(run_gradus(folder, slow({"--out", "whole", "--checkpoint-every", "3"})).code == 0);
  std::mt19937 random(20240611);
  for (int round = 0; round < 6; ++round) {
    const std::string run = "run" + std::to_string(round);
    const long rows = std::uniform_int_distribution<long>(0, 26)(random);
    CAPTURE(rows);
    Child child(folder, slow({"--out", run, "--checkpoint-every", "3"}));
    wait_for_rows(folder, run + "/log.csv", rows);
    child.kill(SIGKILL);
    CHECK(child.wait().signal == SIGKILL);
    CHECK_FALSE(folder.has(run + "/result.json"));
    const Result resumed = run_gradus(folder, slow({"--out", run, "--checkpoint-every", "3", "--resume"}));
    CAPTURE(resumed.err);
    CHECK(resumed.code == 0);
    check_same_run(folder, "whole", run);
    CHECK(tensors_of(folder.read("whole/checkpoint.safetensors")) == tensors_of(folder.read(run + "/checkpoint.safetensors")));
  }
}

TEST_CASE("an interrupt ends after the step with a checkpoint and exit code 130") {
  const Folder folder;
  CHECK(run_gradus(folder, slow({"--out", "whole"})).code == 0);
  for (const int signal : {SIGINT, SIGTERM}) {
    for (const long rows : {4L, 22L}) {  // in the first loop, in the second
      const std::string run = "run" + std::to_string(signal) + "-" + std::to_string(rows);
      CAPTURE(run);
      Child child(folder, slow({"--out", run}));
      wait_for_rows(folder, run + "/log.csv", rows);
      child.kill(signal);
      const Result stopped = child.wait();
      CHECK(stopped.code == 130);
      CHECK(contains(stopped.err, "interrupted; the checkpoint is in " + run));
      CHECK(folder.has(run + "/checkpoint.safetensors"));
      CHECK_FALSE(folder.has(run + "/result.json"));
      CHECK(run_gradus(folder, slow({"--out", run, "--resume"})).code == 0);
      check_same_run(folder, "whole", run);  // the checkpoint is gone: nobody asked to keep it
    }
  }
}

TEST_CASE("a loop that ends early resumes like one that does not") {
  const Folder folder;
  CHECK(run_gradus(folder, slow({"--set", "mode=stops_early", "--out", "whole"})).code == 0);
  Child child(folder, slow({"--set", "mode=stops_early", "--out", "run"}));
  wait_for_rows(folder, "run/log.csv", 9);  // 7 rows of the first loop, then the second
  child.kill(SIGINT);
  CHECK(child.wait().code == 130);
  CHECK(run_gradus(folder, slow({"--set", "mode=stops_early", "--out", "run", "--resume"})).code == 0);
  check_same_run(folder, "whole", "run");
}

TEST_CASE("--resume says when there is nothing to resume") {
  const Folder folder;
  const Result fresh = run_gradus(folder, {"run", "fake", "--out", "run", "--resume"});
  CHECK(fresh.code == 0);
  CHECK(contains(fresh.err, "there is no checkpoint in run: the run begins at step 0"));
  const std::string before = folder.read("run/result.json");
  const Result again = run_gradus(folder, {"run", "fake", "--out", "run", "--resume", "--check"});
  CHECK(again.code == 3);  // its check failed when it ran, and still does
  CHECK(contains(again.err, "the run in run is finished: there is nothing to resume"));
  CHECK(contains(again.out, "score >= 2"));
  CHECK(folder.read("run/result.json") == before);
}

TEST_CASE("--resume refuses another run's folder") {
  const Folder folder;
  CHECK(run_gradus(folder, {"run", "fake", "--out", "run", "--checkpoint-every", "2"}).code == 0);
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"--seed", "2"}, "its seed is 1, this run's is 2"},
      {{"--set", "learning_rate=0.2"}, "its field learning_rate is 0.1, this run's is 0.2"},
      {{"--quick"}, "its --quick is false, this run's is true"}};
  for (const bool finished : {true, false}) {
    if (!finished) REQUIRE(std::remove((folder / "run/result.json").c_str()) == 0);
    for (const auto& [more, expected] : cases) {
      std::vector<std::string> arguments{"run", "fake", "--out", "run", "--resume"};
      arguments.insert(arguments.end(), more.begin(), more.end());
      const Result run = run_gradus(folder, arguments);
      CAPTURE(run.err);
      CHECK(run.code == 1);
      CHECK(contains(run.err, expected));
    }
  }
  CHECK(run_gradus(folder, {"run", "fake", "--out", "run", "--resume"}).code == 0);
}

TEST_CASE("a damaged checkpoint or log is an error, not another result") {
  const Folder folder;
  CHECK(run_gradus(folder, {"run", "fake", "--out", "run", "--checkpoint-every", "2"}).code == 0);
  REQUIRE(std::remove((folder / "run/result.json").c_str()) == 0);
  const std::string checkpoint = folder.read("run/checkpoint.safetensors"), log = folder.read("run/log.csv");
  const auto resume_with = [&](const std::string& file, const std::string& content) {
    std::ofstream(folder / file, std::ios::binary) << content;
    const Result run = run_gradus(folder, {"run", "fake", "--out", "run", "--resume"});
    std::ofstream(folder / "run/checkpoint.safetensors", std::ios::binary) << checkpoint;
    std::ofstream(folder / "run/log.csv", std::ios::binary) << log;
    return run;
  };
  for (const std::size_t size : {std::size_t{0}, std::size_t{7}, std::size_t{100}, checkpoint.size() - 1}) {
    const Result run = resume_with("run/checkpoint.safetensors", checkpoint.substr(0, size));
    CAPTURE(size);
    CHECK(run.code == 1);
    CHECK(contains(run.err, "checkpoint.safetensors"));
  }
  CHECK(contains(resume_with("run/log.csv", log.substr(0, 40)).err, "rows"));
  CHECK(contains(resume_with("run/log.csv", "step,other\n0,1\n").err, "columns"));
  CHECK(run_gradus(folder, {"run", "fake", "--out", "run", "--resume"}).code == 0);
}
