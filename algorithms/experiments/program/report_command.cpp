#include <algorithm>
#include <filesystem>
#include <iostream>

#include <gradus/algorithms/experiments/program/commands.h>
#include <gradus/algorithms/experiments/program/config_record.h>
#include <gradus/algorithms/experiments/program/experiment.h>
#include <gradus/algorithms/experiments/program/files.h>
#include <gradus/algorithms/experiments/program/format.h>
#include <gradus/algorithms/experiments/program/result.h>

namespace gradus::experiments {
namespace {

struct Page {
  std::string folder;
  Record record;
  std::string seeds;  // "1" or "1, 2, 3"
  std::vector<std::string> plots;
};

std::vector<std::string> all_runs() {
  std::vector<std::string> folders;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator("runs", none))
    if (exists(entry.path().string() + "/result.json")) folders.push_back(entry.path().string());
  std::sort(folders.begin(), folders.end());
  if (folders.empty()) throw UsageError{"there is no finished run in runs/: name one, or make one with gradus run NAME"};
  return folders;
}

// A folder, or the name of one in runs/.
std::string run_folder(const std::string& name) {
  for (const std::string& folder : {name, "runs/" + name})
    if (exists(folder + "/result.json")) return folder;
  throw UsageError{"there is no finished run in " + name + " (no result.json)"};
}

Page page_of(const std::string& folder) {
  Page page{folder, {}, {}, {}};
  const std::string path = folder + "/result.json", text = read_file(path);
  page.record = from_json(text, path);
  page.seeds = seeds_of(text);
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".svg") files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  for (const std::string& file : files) page.plots.push_back(read_file(file));
  return page;
}

std::string tag(const std::string& name, const std::string& content, const std::string& attributes = "") {
  return "<" + name + (attributes.empty() ? "" : " " + attributes) + ">" + content + "</" + name + ">";
}
std::string cell(const double* value) { return tag("td", value ? readable(*value) : "", "class=\"n\""); }

std::string figures(const Record& record) {
  std::string head = tag("th", "") + tag("th", escaped(record.experiment), "class=\"n\"");
  for (const auto& baseline : record.baselines) head += tag("th", escaped(baseline.first), "class=\"n\"");
  std::string rows = tag("tr", head) + "\n";
  for (const auto& metric : record.metrics) {
    std::string row = tag("th", escaped(metric.first)) + cell(&metric.second);
    for (const auto& baseline : record.baselines) row += cell(baseline.second.find(metric.first));
    rows += tag("tr", row) + "\n";
  }
  return tag("table", rows);
}

std::string checks(const Record& record) {
  if (record.quick) return tag("p", "A quick run: its figures are not results, and no check is applied.", "class=\"note\"");
  std::string rows;
  for (const Check& check : record.checks)
    rows += tag("tr", tag("th", escaped(check.name())) + cell(&check.value) +
                          tag("td", check.pass() ? "pass" : "fail", check.pass() ? "class=\"pass\"" : "class=\"fail\"")) +
            "\n";
  return rows.empty() ? "" : tag("h3", "Checks") + tag("table", rows);
}

std::string findings(const Record& record) {
  std::string rows;
  for (const Finding& f : record.findings)
    rows += tag("tr", tag("th", escaped(f.name)) + tag("td", escaped(f.verdict), f.verdict == "ok" ? "class=\"pass\"" : "class=\"fail\"") +
                          cell(&f.value) + tag("td", "threshold " + readable(f.threshold)) +
                          tag("td", f.verdict == "ok" ? "" : escaped(f.advice))) +
            "\n";
  return rows.empty() ? "" : tag("h3", "Findings") + tag("table", rows);
}

std::string config(const Record& record) {
  std::string rows;
  for (const ConfigField& field : record.config)
    rows += tag("tr", tag("th", escaped(field.name)) + tag("td", escaped(to_text(field.value)), "class=\"n\"")) + "\n";
  return rows.empty() ? "" : tag("details", tag("summary", "Config") + tag("table", rows));
}

std::string facts(const Page& page) {
  const Record& r = page.record;
  std::string data = escaped(r.data.name) + (r.data.train || r.data.test ? ", " + std::to_string(r.data.train) + " training and " +
                                                                               std::to_string(r.data.test) + " test samples"
                                                                         : "");
  if (!r.data.origin.empty()) data += " (" + escaped(r.data.origin) + ")";
  return tag("p",
             "Seed" + std::string(page.seeds.find(',') == std::string::npos ? " " : "s ") + page.seeds + " · " + data + " · " +
                 std::to_string(r.cost.steps) + " steps, " + duration(r.cost.seconds) + ", " +
                 byte_count(static_cast<double>(r.cost.peak_bytes)) + " at the peak · " + r.device + ", " + std::to_string(r.threads) +
                 (r.threads == 1 ? " thread" : " threads") + " · gradus " + r.version + " · " + tag("code", escaped(page.folder)),
             "class=\"facts\"");
}

// What the experiment says about itself, if this program knows it.
std::string introduction(const Record& record) {
  for (const Experiment* e : all_experiments())
    if (e->name == record.experiment)
      return tag("p", escaped(e->idea)) + tag("pre", escaped(e->formula)) + tag("p", escaped(e->paper), "class=\"facts\"");
  return "";
}

std::string section(const Page& page) {
  std::string body = tag("h2", escaped(page.record.experiment)) + "\n" + introduction(page.record) + facts(page) + figures(page.record) +
                     checks(page.record) + findings(page.record);
  for (const std::string& plot : page.plots) body += tag("figure", plot) + "\n";
  return tag("section", body + config(page.record)) + "\n";
}

const char* const kStyle =
    "body{font:15px/1.5 system-ui,Helvetica,Arial,sans-serif;color:#202124;max-width:780px;margin:40px auto;padding:0 20px}"
    "h1{font-size:26px}h2{font-size:21px;margin-top:48px;border-top:1px solid #dadce0;padding-top:24px}h3{font-size:15px;margin:24px 0 4px}"
    "table{border-collapse:collapse;margin:12px 0}th,td{padding:3px 14px 3px 0;text-align:left;vertical-align:top;border-bottom:1px solid "
    "#eee}"
    "th{font-weight:500}.n{text-align:right;font-variant-numeric:tabular-nums}.pass{color:#137333}.fail{color:#b3261e;font-weight:600}"
    ".facts,.note{color:#5f6368;font-size:13px}figure{margin:24px 0}figure svg{max-width:100%;height:auto}"
    "pre{background:#f8f9fa;padding:10px 14px;overflow:auto;font-size:13px}summary{cursor:pointer;color:#5f6368}";

}  // namespace

int report_command(const ReportOptions& options) {
  std::vector<std::string> folders;
  for (const std::string& name : options.runs) folders.push_back(run_folder(name));
  if (folders.empty()) folders = all_runs();
  std::string body = tag("h1", "gradus: " + std::to_string(folders.size()) + (folders.size() == 1 ? " run" : " runs")) + "\n";
  for (const std::string& folder : folders) body += section(page_of(folder));
  write_file(options.file, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>gradus</title>" + tag("style", kStyle) +
                               "</head>\n" + tag("body", body) + "</html>\n");
  std::cout << options.file << ": " << folders.size() << (folders.size() == 1 ? " run\n" : " runs\n");
  return kDone;
}

}  // namespace gradus::experiments
