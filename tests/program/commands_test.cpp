// list, show, tape, report, data, progress.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include <nlohmann/json.hpp>

#include <gradus/tests/program/child.h>

using namespace gradus::experiments::test;
using Json = nlohmann::ordered_json;

namespace {
bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++found;
  return found;
}
}  // namespace

TEST_CASE("list shows every experiment, its ingredients and the state of its checks") {
  const Folder folder;
  CHECK(contains(run_gradus(folder, {"list"}).out, "(shown by fake)"));
  const auto fake = [&] {
    for (const Json& entry : Json::parse(run_gradus(folder, {"list", "--json", "--family", "tests"}).out))
      if (entry["name"] == "fake") return entry;
    return Json();
  };
  CHECK(fake()["checks"].is_null());
  CHECK(fake()["ingredients"] == Json{"fake_ingredient"});
  run_gradus(folder, {"run", "fake", "--quick"});
  CHECK(fake()["checks"].is_null());  // a quick run has no checks
  run_gradus(folder, {"run", "fake"});
  CHECK(fake()["checks"]["passed"] == 1);
  CHECK(fake()["checks"]["total"] == 2);
  CHECK(contains(run_gradus(folder, {"list"}).out, "1 of 2 pass: FAIL"));
}

TEST_CASE("every experiment lists a config whose field names differ, and can be shown") {
  const Folder folder;
  for (const Json& entry : Json::parse(run_gradus(folder, {"list", "--json"}).out)) {
    const std::string name = entry["name"];
    CAPTURE(name);
    const Result shown = run_gradus(folder, {"show", name});
    CHECK(shown.code == 0);
    CHECK(contains(shown.out, entry["idea"]));
    std::vector<std::string> fields;
    std::istringstream lines(shown.out.substr(shown.out.find("  field")));
    std::string line;
    while (std::getline(lines, line) && !line.empty()) fields.push_back(line.substr(2, line.find(' ', 2) - 2));
    std::sort(fields.begin(), fields.end());
    CHECK(std::adjacent_find(fields.begin(), fields.end()) == fields.end());
  }
}

TEST_CASE("show prints meaning, default, the paper's value and the choices") {
  const Folder folder;
  const Result shown = run_gradus(folder, {"show", "fake_ingredient"});
  CHECK(shown.code == 0);
  for (const char* part :
       {"fake (tests)", "Nobody 2024", "L = mean (w x - 0.1)^2", "learning_rate", "0.3", "rate of SGD", "plain, fails, no_memory"})
    CHECK(contains(shown.out, part));
}

TEST_CASE("tape prints one training step, and draws it") {
  const Folder folder;
  const Result tape = run_gradus(folder, {"tape", "fake", "--dot", "t.dot", "--svg", "t.svg"});
  CHECK(tape.code == 0);
  CHECK(contains(tape.out, "square"));
  CHECK(contains(tape.out, "4 entries"));
  CHECK(contains(folder.read("t.dot"), "digraph"));
  const std::string svg = folder.read("t.svg");
  CHECK(contains(svg, "4 entries"));
  CHECK(count(svg, "<circle") == 4);
  CHECK(count(svg, "<path") == 3);  // mul -> affine -> square -> mean
  CHECK_FALSE(folder.has("runs"));
}

TEST_CASE("--trace writes the tape of a step with norms and times") {
  const Folder folder;
  CHECK(run_gradus(folder, {"run", "fake", "--trace", "trace.json"}).code == 0);
  const Json entries = Json::parse(folder.read("trace.json"))["entries"];
  CHECK(entries.size() == 5);
  CHECK(entries[0]["op"] == "watched");
  CHECK(entries[3]["op"] == "square");
  CHECK(entries[3]["inputs"] == Json{"%2"});
  CHECK(entries[3]["type"] == "f32[8, 64]");
  CHECK(entries[3]["saved_bytes"] == 8 * 64 * 4);
  CHECK(entries[3]["norm"] > 0);
}

TEST_CASE("report is one page that needs no network") {
  const Folder folder;
  CHECK(run_gradus(folder, {"run", "fake", "--seeds", "1,2", "--set", "label=<b>&"}).code == 0);
  CHECK(run_gradus(folder, {"report"}).code == 0);
  const std::string page = folder.read("report.html");
  CHECK(count(page, "<section>") == 3);  // two runs and their summary
  CHECK(count(page, "<svg") == 3);
  CHECK(contains(page, "Seeds 1, 2"));
  CHECK(contains(page, "&lt;b&gt;&amp;"));
  CHECK_FALSE(contains(page, "<b>&"));
  CHECK_FALSE(contains(page, "src="));
  CHECK_FALSE(contains(page, "href="));
  CHECK(run_gradus(folder, {"report", "runs/fake-seed1", "fake-seed2", "-o", "two.html"}).code == 0);
  CHECK(count(folder.read("two.html"), "<section>") == 2);
}

TEST_CASE("data lists what is built in and what can be had") {
  const Folder folder;
  const Result list = run_gradus(folder, {"data"}, {.environment = {{"XDG_DATA_HOME", folder / "share"}}});
  CHECK(list.code == 0);
  for (const char* set :
       {"digits", "iris", "wine", "breast_cancer", "diabetes", "linnerud", "sunspots", "co2", "elnino", "fashion-mnist", "wordnet", "fann"})
    CHECK(contains(list.out, set));
  CHECK(count(list.out, "built in") == 9);
  CHECK(count(list.out, "not here") == 3);
  CHECK(contains(list.out, folder / "share/gradus"));
}

TEST_CASE("data get says what to do where there is no apt-get") {
  const Folder folder;
  const Result get = run_gradus(folder, {"data", "get", "wordnet", "--data", "d"}, {.environment = {{"PATH", "/nowhere"}}});
  CHECK(get.code == 1);
  CHECK(contains(get.out, "downloads the package wordnet-base (6.5 MB) and keeps 9.0 MB in d/wordnet"));
  CHECK(contains(get.err, "there is no apt-get here"));
}

TEST_CASE("nightly: data get fetches, keeps and reuses a set") {
  const Folder folder;
  const Result get =
      run_gradus(folder, {"data", "get", "fann", "--data", "d"}, {.environment = {{"PATH", "/usr/sbin:/usr/bin:/sbin:/bin"}}});
  if (get.code == 1 && contains(get.err, "cannot download")) {
    MESSAGE("SKIP: no network");
    return;
  }
  CHECK(get.code == 0);
  CHECK(contains(get.out, "fann is in d/fann"));
  CHECK(folder.files("d") == std::vector<std::string>{"fann"});
  for (const char* file : {"building-train-inputs.idx", "manifest.json", "SHA256SUMS", "copyright"})
    CHECK(folder.has(std::string("d/fann/") + file));
  const Result again = run_gradus(folder, {"data", "get", "fann", "--data", "d"});
  CHECK(again.code == 0);
  CHECK(contains(again.out, "fann is in d/fann, whole"));
  CHECK(contains(run_gradus(folder, {"data", "--data", "d"}).out, "here  "));
}

TEST_CASE("progress is plain lines where there is no terminal, and a bar where there is one") {
  const Folder folder;
  const std::vector<std::string> run = {"run", "fake", "--set", "milliseconds=60", "--set", "train_steps=50", "--set", "polish_steps=0"};
  const Result plain = run_gradus(folder, run);
  CHECK(contains(plain.err, "fake seed 1: 9"));  // 90 and some per cent: the last tenth is in sight
  CHECK(count(plain.err, "\n") <= 10);
  CHECK(count(plain.err, "\n") >= 2);
  CHECK_FALSE(contains(plain.err, "\r"));

  const Result bar = run_gradus(folder, run, {.environment = {{"TERM", "xterm"}, {"LANG", "C.UTF-8"}}, .terminal = true});
  CHECK(contains(bar.err, "█"));
  CHECK(contains(bar.err, "\033[34m"));
  CHECK(contains(bar.err, "loss 0.0"));
  CHECK(contains(bar.err, "left"));
  const std::size_t drawings = count(bar.err, "/50");
  CHECK(drawings >= 5);
  CHECK(drawings <= 32);                                    // at most ten a second
  CHECK(bar.err.substr(bar.err.size() - 4) == "\r\033[K");  // the line is clean at the end

  const Result grey = run_gradus(folder, run, {.environment = {{"TERM", "xterm"}, {"NO_COLOR", "1"}}, .terminal = true});
  CHECK(contains(grey.err, "##"));
  CHECK_FALSE(contains(grey.err, "\033[34m"));
  CHECK_FALSE(contains(run_gradus(folder, run, {.environment = {{"TERM", "dumb"}}, .terminal = true}).err, "\033["));
}

TEST_CASE("help and version") {
  const Folder folder;
  CHECK(contains(run_gradus(folder, {"--version"}).out, "gradus 0."));
  for (const char* command : {"list", "show", "run", "report", "tape", "data"}) {
    CHECK(contains(run_gradus(folder, {"--help"}).out, command));
    CHECK(run_gradus(folder, {command, "--help"}).code == 0);
  }
}
