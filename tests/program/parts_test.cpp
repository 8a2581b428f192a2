// The program's parts: numbers, tables, axes, plots, log, summary, hashes, conversions, vendored data.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include <gradus/algorithms/experiments/data/fetched.h>
#include <gradus/algorithms/experiments/data/sha256.h>
#include <gradus/algorithms/experiments/program/axis.h>
#include <gradus/algorithms/experiments/program/files.h>
#include <gradus/algorithms/experiments/program/format.h>
#include <gradus/algorithms/experiments/program/log.h>
#include <gradus/algorithms/experiments/program/record.h>
#include <gradus/algorithms/experiments/program/result.h>
#include <gradus/algorithms/experiments/program/table.h>
#include <gradus/algorithms/experiments/program/tape_view.h>
#include <gradus/kernels/error.h>
#include <gradus/nn/data/vendored.h>
#include <gradus/tests/program/child.h>

using namespace gradus;
using namespace gradus::experiments;

namespace {

const double kInfinity = std::numeric_limits<double>::infinity();

std::vector<std::string> labels_of(const Axis& axis) {
  std::vector<std::string> labels;
  for (const Tick& tick : axis.ticks()) labels.push_back(tick.label);
  return labels;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++found;
  return found;
}

bool contains(const std::string& text, const std::string& part) { return count(text, part) > 0; }

template <class E, class F> std::string text_of(F&& f) {
  try {
    f();
  } catch (const E& error) { return error.what(); }
  return "nothing was thrown";
}

Record seed_record(std::uint64_t seed, double fs1, double loss_end) {
  Record record;
  record.experiment = "e";
  record.seed = seed;
  record.metrics.set("fs1", fs1);
  record.baseline("raw").set("fs1", fs1 / 2);
  record.checks = {{"fs1", fs1, ">=", 72}, {"fs1", fs1, "<", 90, Judged::worst}, {"fs1", fs1, ">", 70, Judged::mean}};
  record.findings = {{"collapse", 0.1, 0.95, seed == 2 ? "fired" : "ok", "advice"}};
  record.plots = {{.file = "loss", .series = {{.name = "loss", .x = {0, 1}, .y = {1, loss_end}}}, .levels = {{"raw", fs1}}}};
  return record;
}

}  // namespace

TEST_CASE("numbers read back as themselves and are written alike everywhere") {
  CHECK(shortest(0.1f) == "0.1");
  CHECK(shortest(0.1) == "0.1");
  CHECK(shortest(1.0 / 3) == "0.3333333333333333");
  CHECK(shortest(1e300) == "1e+300");
  for (const double v : {1.0 / 3, 2.5e-300, 1e300, 123456789.125, static_cast<double>(0.1f)})
    CHECK(std::stod(shortest(v)) == doctest::Approx(v).epsilon(1e-7));
  CHECK(fixed(-0.04, 1) == "0.0");
  CHECK(fixed(-0.06, 1) == "-0.1");
  CHECK(readable(80.24999) == "80.25");
  CHECK(readable(1e6) == "1e6");
  CHECK(readable(1.25e-5) == "1.25e-5");
  CHECK(readable(1e100) == "1e100");
  CHECK(readable(NAN) == "-");
  CHECK(duration(0.44) == "0.4 s");
  CHECK(duration(2) == "2 s");
  CHECK(duration(61) == "1 min 01 s");
  CHECK(duration(7500) == "2 h 05 min");
  CHECK(byte_count(999) == "999 B");
  CHECK(byte_count(1500) == "1.5 KB");
  CHECK(byte_count(999999) == "1.0 MB");
  CHECK(escaped("<a & \"b'>") == "&lt;a &amp; &quot;b&#39;&gt;");
  CHECK(display_width("µs") == 2);
}

TEST_CASE("a table is as wide as its cells, counted in characters") {
  Table table({"", "µs"});
  table.row({"a", "10"});
  table.rule();
  table.row({"long", "1"});
  CHECK(table.text() == "        µs\n  --------\n  a     10\n  --------\n  long   1\n");
}

TEST_CASE("ticks are 1, 2 or 5 times a power of ten") {
  CHECK(labels_of(Axis({0, 98.3}, false, true)) == std::vector<std::string>{"0", "20", "40", "60", "80", "100"});
  CHECK(labels_of(Axis({0.012, 0.052}, false, true)) == std::vector<std::string>{"0.01", "0.02", "0.03", "0.04", "0.05", "0.06"});
  CHECK(labels_of(Axis({0, 1e7}, false, true)) == std::vector<std::string>{"0", "2e6", "4e6", "6e6", "8e6", "1e7"});
  CHECK(labels_of(Axis({-1, 1}, false, true)).front() == "-1.0");
  CHECK(labels_of(Axis({0, 9990}, false, false)).back() == "10000");  // within 2 % of a tick: the axis goes on to it
  CHECK(labels_of(Axis({0.13, 4}, true, true)) == std::vector<std::string>{"0.1", "0.2", "0.5", "1", "2", "5"});
  const auto decades = labels_of(Axis({1e-6, 1}, true, true));
  CHECK(decades.size() == 19);
  CHECK(std::count(decades.begin(), decades.end(), "") == 12);  // beyond four decades only powers of ten are numbered
}

TEST_CASE("an axis shows what it can, and only that") {
  const Axis axis({0, 10, NAN, kInfinity}, false, true);
  CHECK(axis.position(5) == 0.5);
  CHECK(std::isnan(axis.position(NAN)));
  CHECK(std::isnan(axis.position(-kInfinity)));
  const Axis logarithmic({0, 1, 100, -3}, true, true);
  CHECK(logarithmic.position(10) == doctest::Approx(0.5));
  CHECK(std::isnan(logarithmic.position(0)));
  for (const auto& values :
       {std::vector<double>{}, std::vector<double>{NAN}, std::vector<double>{7}, std::vector<double>{0}, std::vector<double>{-1e-300}}) {
    for (const bool log_scale : {false, true}) {
      const Axis any(values, log_scale, true);
      CHECK(any.ticks().size() >= 1);
      CHECK(any.ticks().size() < 40);
      for (const Tick& tick : any.ticks()) CHECK(std::isfinite(any.position(tick.value)));
    }
  }
}

TEST_CASE("a plot names its curves and baselines and is the same every time") {
  Plot plot{.file = "p", .title = "A < B", .x_title = "step", .y_title = "loss (nats)", .caption = "digits · seed 1"};
  plot.series = {{.name = "loss", .x = {0, 1, 2, 3}, .y = {4, NAN, 2, 1}, .low = {3, NAN, 1, 0}, .high = {5, NAN, 3, 2}}};
  plot.levels = {{"raw pixels", 3}, {"random encoder", 3.1}};
  const std::string svg = to_svg(plot);
  CHECK(svg == to_svg(plot));
  for (const char* part : {"A &lt; B", "step", "loss (nats)", "digits · seed 1", ">loss</tspan>", ">raw pixels</tspan>",
                           ">random encoder</tspan>", "stroke-dasharray"})
    CHECK(contains(svg, part));
  CHECK(count(svg, "<circle") == 3);  // the NaN is a gap
  CHECK_FALSE(contains(svg, "nan"));
  CHECK(contains(svg, "fill-opacity=\"0.16\""));  // the band
  CHECK_FALSE(contains(to_svg({}), "nan"));       // nothing to draw is drawn too
}

TEST_CASE("a long curve is drawn with a running mean, in bounded size") {
  Plot plot;
  plot.series.push_back({.name = "noise"});
  for (int i = 0; i < 100000; ++i) {
    plot.series[0].x.push_back(i);
    plot.series[0].y.push_back(i % 2 ? 1 : 3);
  }
  const std::string svg = to_svg(plot);
  CHECK(svg.size() < 60000);
  CHECK(count(svg, "<path") == 2);
  CHECK(contains(svg, "stroke-opacity=\"0.3\""));
  CHECK(contains(svg, "<tspan dx=\"6\">1.999<"));  // the mean stands beside the name
}

TEST_CASE("log: one row a step, new columns, and a resume that cuts off what came later") {
  const test::Folder folder;
  const std::string path = folder / "log.csv";
  {
    Log log(path);
    log.add(0, {{"loss", 0.5}});
    log.add(0, {{"loss", 0.25f}});
    log.end_row();
    log.add(1, {{"loss", NAN}, {"fs1", 80}});
    log.add(2, {{"fs1", 81}});  // ends the row before
    log.end_row();
  }
  CHECK(folder.read("log.csv") == "step,loss,fs1\n0,0.25,\n1,nan,80\n2,,81\n");
  CHECK(Log(path, 3, {"loss", "fs1"}).series("fs1").y == std::vector<double>{80, 81});
  CHECK(Log(path, 1, {"loss"}).rows() == 1);  // the checkpoint knew one row and one column
  CHECK(folder.read("log.csv") == "step,loss\n0,0.25\n");
  CHECK(contains(text_of<IoError>([&] { Log(path, 2, {"loss"}); }), "has 1 rows, its checkpoint counts 2"));
  CHECK(contains(text_of<IoError>([&] { Log(path, 1, {"loss", "fs1"}); }), "columns"));
  write_file(path, "step,loss\n0,zero\n");
  CHECK(contains(text_of<IoError>([&] { Log(path, 1, {"loss"}); }), "line 2 is not a row of numbers: '0,zero'"));
  CHECK(contains(text_of<ValueError>([&] { Log().series("loss"); }), "no row has the metric 'loss'"));
}

TEST_CASE("checks: NaN fails every comparison") {
  for (const char* comparison : {">=", "<=", ">", "<"}) CHECK_FALSE(holds(NAN, comparison, 1));
  CHECK(holds(1, ">=", 1));
  CHECK_FALSE(holds(1, ">", 1));
  CHECK_THROWS_AS(holds(1, "==", 1), ValueError);
  CHECK(Check{"fs1", 80, ">=", 72}.name() == "fs1 >= 72");
  CHECK(Check{"mse_1", 1, "<=", 0.65, Judged::worst}.name() == "mse_1 <= 0.65, worst seed");
}

TEST_CASE("summary: medians, the worst and the mean, one alarm is an alarm, curves with a band") {
  const Record summary = summary_of({seed_record(1, 70, 3), seed_record(2, 80, 1), seed_record(3, 75, 2)});
  CHECK(*summary.metrics.find("fs1") == 75);
  CHECK(*summary.baselines[0].second.find("fs1") == 37.5);
  CHECK(summary.checks[0].value == 75);
  CHECK(summary.checks[1].value == 80);
  CHECK(summary.checks[2].value == 75);
  CHECK(summary.passed());
  CHECK(summary.findings[0].verdict == "fired");
  const Series& loss = summary.plots[0].series[0];
  CHECK(loss.y == std::vector<double>{1, 2});
  CHECK(loss.low == std::vector<double>{1, 1});
  CHECK(loss.high == std::vector<double>{1, 3});
  CHECK(summary.plots[0].levels[0].y == 75);

  const Record even = summary_of({seed_record(1, 70, 1), seed_record(2, 73, 1)});
  CHECK(even.checks[0].value == 71.5);
  CHECK_FALSE(even.passed());
  const Record nan = summary_of({seed_record(1, 80, 1), seed_record(2, NAN, 1), seed_record(3, 80, 1)});
  for (const Check& check : nan.checks) CHECK_FALSE(check.pass());  // a seed that diverged is not hidden by a median
}

TEST_CASE("result.json is read back as it was written") {
  Record record = seed_record(3, 80.2, 1);
  record.config = {{"rate", 0.1}, {"steps", std::int64_t{5}}, {"on", true}, {"name", std::string("a\"b")}};
  record.metrics.set("nothing", NAN);
  const std::string text = to_json(record);
  const Record back = from_json(text, "result.json");
  CHECK(to_json(back) == text);
  CHECK(contains(text, "\"nothing\": null"));
  CHECK(contains(text, "{\"name\": \"fs1 >= 72\", \"value\": 80.2, \"bound\": 72.0, \"pass\": true}"));
  CHECK(back.checks[1].judged == Judged::worst);
  CHECK(back.checks[2].judged == Judged::mean);
  CHECK(contains(text_of<IoError>([] { from_json("{}", "x/result.json"); }), "x/result.json is not the result of a run"));
  CHECK(contains(text_of<IoError>([&] { from_json(text.substr(0, 50), "x/result.json"); }), "x/result.json is not the result of a run"));
}

TEST_CASE("the tape's picture lets a value run from its birth to its last use") {
  const auto entry = [](const char* result, const char* op, std::vector<std::string> inputs) {
    TapeRow row;
    row.result = result;
    row.op = op;
    row.inputs = std::move(inputs);
    row.type = "f32[2]";
    row.saved_bytes = 8;
    return row;
  };
  const std::string svg =
      tape_svg({entry("%1", "mul", {"const", "w0"}), entry("%2", "exp", {"%1"}), entry("%3", "add", {"%1", "%2"})}, "t");
  CHECK(count(svg, "<path") == 3);
  CHECK(count(svg, "<circle") == 3);
  CHECK(contains(svg, ">w0</tspan>"));
  CHECK(contains(svg, "3 entries, 24 B saved"));
  CHECK(contains(tape_svg({}, "nothing"), "0 entries"));
}

TEST_CASE("SHA-256 of the standard's examples") {
  CHECK(sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256(std::string(1000000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  Sha256 pieces;
  for (int i = 0; i < 1000; ++i) pieces.add(std::string(static_cast<std::size_t>(i % 130), 'x'));
  std::string whole;
  for (int i = 0; i < 1000; ++i) whole += std::string(static_cast<std::size_t>(i % 130), 'x');
  CHECK(pieces.hex() == sha256(whole));
}

TEST_CASE("FANN tables: rows are read, and everything that disagrees is named") {
  const FannTable table = parse_fann("2 3 1\n1 2.5 -3e-1\n7\r\n\n4 5 6\n8", "t");
  CHECK(table.inputs.shape() == Shape{2, 3});
  CHECK(table.inputs.to_vector<float>() == std::vector<float>{1, 2.5f, -0.3f, 4, 5, 6});
  CHECK(table.targets.to_vector<float>() == std::vector<float>{7, 8});
  const std::pair<const char*, const char*> cases[] = {
      {"", "t line 1: there is no header"},
      {"2 3\n", "t line 1: there are 2 numbers; expected 3"},
      {"2 3 x\n", "t line 1: 'x' is not a number"},
      {"1 2 1\n1 2 3\n4\n", "t line 2: there are 3 numbers; expected 2"},
      {"1 2 1\n1 2\n", "t line 3: the file ends in row 1 of 1"},
      {"1 2 1\n1 2\n3\n4\n", "t line 4: there are more than the 1 rows of the header"},
      {"1 2 1\n1 2,5\n3\n", "t line 2: '2,5' is not a number"},
      {"900000000000 900000000000 1\n", "the header promises"},
      {"-1 2 1\n", "the header promises"},
      {"4000000000000000000 1 1\n", "the header promises"},
  };
  for (const auto& [text, expected] : cases) {
    const std::string error = text_of<IoError>([&, t = text] { parse_fann(t, "t"); });
    CAPTURE(error);
    CHECK(contains(error, expected));
  }
}

TEST_CASE("WordNet glosses: the licence is skipped by its two blanks, a line without a bar is refused") {
  CHECK(parse_glosses("  1 licence\n  2 | licence\n0001 n entity | that which is  \r\n0002 n x | a; \"b | c\"", "w") ==
        "that which is\na; \"b | c\"\n");
  CHECK(
      contains(text_of<IoError>([] { parse_glosses("0001 n | a\n0002 n entity\n", "w"); }), "w line 2: there is no ' | ' before a gloss"));
}

TEST_CASE("a set that is not fetched names the command that gets it") {
  CHECK(contains(text_of<IoError>([] { fashion_mnist("/nowhere"); }),
                 "there is no file /nowhere/fashion-mnist/train-inputs.idx; `gradus data get fashion-mnist` gets it"));
  CHECK(contains(text_of<IoError>([] { wordnet_glosses("/nowhere"); }), "`gradus data get wordnet`"));
  CHECK(contains(text_of<IoError>([] { fann_table("/nowhere", "building"); }), "`gradus data get fann`"));
}

TEST_CASE("the vendored sets are the published ones") {
  const Dataset& images = digits();
  CHECK(images.size() == 1797);
  CHECK(images.inputs.shape() == Shape{1797, 1, 8, 8});
  CHECK(images.classes() == 10);
  std::vector<int> per_class(10);
  for (const std::int64_t label : images.labels.values<std::int64_t>()) ++per_class[static_cast<std::size_t>(label)];
  CHECK(per_class == std::vector<int>{178, 182, 177, 183, 181, 182, 181, 179, 174, 180});  // as the UCI page counts them
  const auto pixels = images.inputs.values<float>();
  CHECK(*std::min_element(pixels.begin(), pixels.end()) == 0);
  CHECK(*std::max_element(pixels.begin(), pixels.end()) == 1);
  CHECK(pixels[3] == 13.f / 16);

  const auto column = [](const Dataset& data, std::int64_t c) {
    double sum = 0;
    for (std::int64_t i = 0; i < data.size(); ++i)
      sum += static_cast<double>(data.inputs.values<float>()[static_cast<std::size_t>(i * data.inputs.size(1) + c)]);
    return sum / static_cast<double>(data.size());
  };
  CHECK(iris().inputs.shape() == Shape{150, 4});
  CHECK(column(iris(), 0) == doctest::Approx(5.8433).epsilon(1e-4));  // sepal length, in Fisher's paper
  CHECK(wine().inputs.shape() == Shape{178, 13});
  CHECK(column(wine(), 0) == doctest::Approx(13.0006).epsilon(1e-4));
  CHECK(breast_cancer().inputs.shape() == Shape{569, 30});
  const auto tumours = breast_cancer().labels.values<std::int64_t>();
  CHECK(std::count(tumours.begin(), tumours.end(), 0) == 212);
  CHECK(diabetes().inputs.shape() == Shape{442, 10});
  CHECK(diabetes().labels.shape() == Shape{442, 1});
  CHECK(diabetes().labels.values<float>()[0] == 151);
  CHECK(linnerud().labels.shape() == Shape{20, 3});
  CHECK(sunspots().inputs.shape() == Shape{309});
  CHECK(co2().inputs.shape() == Shape{2284});
  const auto ppm = co2().inputs.values<float>();
  CHECK(std::count_if(ppm.begin(), ppm.end(), [](float v) { return std::isnan(v); }) == 59);
  CHECK(elnino().inputs.shape() == Shape{61, 12});
  for (const Dataset* data : {&digits(), &iris(), &wine(), &breast_cancer(), &diabetes(), &linnerud(), &sunspots(), &co2(), &elnino()}) {
    CHECK(data->sha256.size() == 64);
    CHECK_FALSE(data->origin.empty());
    CHECK_FALSE(data->licence.empty());
  }
  CHECK(&digits() == &digits());  // decoded once
}

TEST_CASE("the vendored files are those of SHA256SUMS") {
  const std::string folder = GRADUS_SOURCE_DIR "/algorithms/experiments/data/vendored/";
  const std::string sums = read_file(folder + "SHA256SUMS");
  int files = 0;
  for (std::size_t at = 0; at < sums.size(); at = sums.find('\n', at) + 1, ++files) {
    const std::string name = sums.substr(at + 66, sums.find('\n', at) - at - 66);
    CAPTURE(name);
    CHECK(sha256(read_file(folder + name)) == sums.substr(at, 64));
  }
  CHECK(files == 15);
}
