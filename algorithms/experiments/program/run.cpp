#include <gradus/algorithms/experiments/program/run.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <optional>

#include <gradus/algorithms/experiments/program/config_record.h>
#include <gradus/algorithms/experiments/program/files.h>
#include <gradus/algorithms/experiments/program/format.h>
#include <gradus/algorithms/experiments/program/interrupt.h>
#include <gradus/algorithms/experiments/program/log.h>
#include <gradus/algorithms/experiments/program/progress.h>
#include <gradus/algorithms/experiments/program/result.h>
#include <gradus/algorithms/experiments/program/run_state.h>
#include <gradus/algorithms/experiments/program/snapshot.h>
#include <gradus/engine/memory.h>
#include <gradus/engine/tape.h>
#include <gradus/kernels/version.h>
#include <gradus/nn/safetensors.h>

namespace gradus::experiments {

struct Run::Parts {
  RunOptions options;
  Record record;
  Log log;
  Progress progress;
  std::string progress_text;  // the last row
  std::vector<LoopState> loops;
  std::vector<TensorFile> loop_states;  // of the finished loops
  State open_state;                     // of the loop that is running, if one is
  bool in_loop = false;
  std::optional<RunState> resumed;  // until the loop is reached in which the checkpoint was saved
  TensorFile resumed_file;
  std::exception_ptr failure;  // met where nothing may be thrown
  bool tape_shown = false;
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  Cost before;  // what the run had cost when its checkpoint was saved
  MemoryPeak peak;

  Parts(const std::string& experiment, const std::string& family, RunOptions given)
      : options(std::move(given)), progress(experiment + " seed " + std::to_string(options.seed)) {
    record.experiment = experiment;
    record.family = family;
    record.seed = options.seed;
    record.device = gradus::name_of(options.device);
    record.threads = options.threads;
    record.quick = options.quick;
    record.version = version();
  }

  std::string path(const std::string& file) const { return options.out_dir + "/" + file; }
  std::string checkpoint_path() const { return path("checkpoint.safetensors"); }

  void open_folder() {
    if (options.out_dir.empty()) return;
    make_folder(options.out_dir);
    remove_leftovers();
    if (options.resume && exists(checkpoint_path())) return load();
    if (options.resume) std::cerr << "gradus: there is no checkpoint in " << options.out_dir << ": the run begins at step 0\n";
    clear_folder();
    log = Log(path("log.csv"));
  }

  // Temporaries of a run that was killed while it wrote.
  void remove_leftovers() const {
    for (const auto& entry : std::filesystem::directory_iterator(options.out_dir)) {
      const std::string name = entry.path().filename().string();
      for (const char* written : {"result.json.tmp.", "log.csv.tmp.", "checkpoint.safetensors.tmp."})
        if (name.rfind(written, 0) == 0) remove_file(entry.path().string());
    }
  }

  // What an earlier run left here. Plots go only where a result shows that they are a run's.
  void clear_folder() const {
    if (exists(path("result.json")))
      for (const auto& entry : std::filesystem::directory_iterator(options.out_dir))
        if (entry.path().extension() == ".svg") remove_file(entry.path().string());
    remove_file(path("result.json"));
    remove_file(checkpoint_path());
  }

  void load() {
    resumed_file = read_safetensors(checkpoint_path());
    const std::string* header = resumed_file.find_metadata("run");
    if (!header) raise_io(checkpoint_path() + " is not the checkpoint of a run");
    resumed = run_state_from_json(*header, checkpoint_path());
    log = Log(path("log.csv"), resumed->log_rows, resumed->log_columns);
  }

  Cost cost() const {
    Cost now = record.cost;
    now.seconds = before.seconds + std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    now.peak_bytes = std::max(before.peak_bytes, peak.bytes());
    return now;
  }

  void save() {
    if (options.out_dir.empty()) return;
    RunState state{record, loops, log.rows(), log.columns()};
    state.record.cost = cost();
    TensorFile file;
    file.metadata.emplace_back("run", to_json(state));
    for (std::size_t i = 0; i < loop_states.size(); ++i) add_part(file, loops[i].name, loop_states[i]);
    if (in_loop) add_part(file, loops.back().name, snapshot_of(open_state, false));
    log.sync();
    write_safetensors(checkpoint_path(), file);
  }

  // Gives the loop that begins its state back, if the checkpoint has it.
  void restore_loop(LoopState& loop) {
    const std::size_t index = loops.size();
    if (!resumed || index >= resumed->loops.size()) return;
    const LoopState& saved = resumed->loops[index];
    if (saved.name != loop.name || saved.total != loop.total)
      raise_io(checkpoint_path() + " belongs to another run: its loop " + std::to_string(index + 1) + " is " + saved.name + " of " +
               std::to_string(saved.total) + " steps, this run's is " + loop.name + " of " + std::to_string(loop.total));
    restore(open_state, part_of(resumed_file, loop.name), checkpoint_path());
    loop.done = saved.finished ? loop.total : saved.done;
    if (index + 1 == resumed->loops.size()) end_resume();
  }

  // From here on the run is where its checkpoint was saved.
  void end_resume() {
    const Record& saved = resumed->record;
    record.metrics = saved.metrics;
    record.baselines = saved.baselines;
    record.checks = saved.checks;
    record.findings = saved.findings;
    record.cost = before = saved.cost;
    resumed.reset();
    resumed_file = {};
  }

  // At every call of the experiment: errors and interrupts that came where nothing may be thrown.
  void poll() {
    if (failure) std::rethrow_exception(std::exchange(failure, nullptr));
    if (in_loop || !interrupt_requested()) return;  // inside a loop the end of the step is the place
    progress.clear();
    if (!resumed) save();  // a run that is still catching up has its checkpoint already
    throw Interrupted();
  }

  void say(const std::string& text) {
    progress.clear();
    if (!options.silent) std::cout << text << std::endl;
  }
};

namespace {

template <class Named> void put(std::vector<Named>& list, Named value, std::string Named::*name) {
  for (Named& old : list)
    if (old.*name == value.*name) {
      old = std::move(value);
      return;
    }
  list.push_back(std::move(value));
}

std::string first_figures(const std::vector<std::pair<std::string, double>>& values) {
  std::string text;
  for (std::size_t i = 0; i < std::min<std::size_t>(values.size(), 2); ++i)  // as many as fit beside a bar
    text += (i ? "  " : "") + values[i].first + " " + readable(values[i].second);
  return text;
}

}  // namespace

Steps::Iterator& Steps::Iterator::operator++() {
  run_->end_step(step_);
  ++step_;
  return *this;
}

Steps::~Steps() { run_.end_loop(std::uncaught_exceptions() > exceptions_); }

Run::Run(std::string experiment, std::string family, RunOptions options)
    : parts_(std::make_unique<Parts>(experiment, family, std::move(options))) {
  parts_->open_folder();
}
Run::~Run() = default;

std::uint64_t Run::seed() const { return parts_->options.seed; }
int Run::threads() const { return parts_->options.threads; }
Device Run::device() const { return parts_->options.device; }
bool Run::quick() const { return parts_->options.quick; }
const std::string& Run::data_dir() const { return parts_->options.data_dir; }

void Run::configure_by(const std::function<void(FieldVisitor&)>& visit) {
  parts_->poll();
  for (const std::string& assignment : parts_->options.assignments) {
    FieldSetter setter(assignment);
    visit(setter);
    setter.require_found();
  }
  parts_->record.config = fields_of(visit);
  if (!parts_->resumed) return;
  require_same_run(parts_->resumed->record, parts_->record, parts_->checkpoint_path());
  if (parts_->resumed->loops.empty()) parts_->end_resume();  // saved before the first loop
}

void Run::data(DataInfo info) {
  std::string line = parts_->record.experiment + ", seed " + std::to_string(seed()) + (quick() ? ", quick" : "") + ": " + info.name;
  if (info.train || info.test) line += ", " + std::to_string(info.train) + " training and " + std::to_string(info.test) + " test samples";
  if (!info.instead_of.empty())
    line += " (" + info.instead_of + " is not here, this runs on the set that is built in; gradus data get " + info.instead_of + ")";
  parts_->record.data = std::move(info);
  parts_->say(line);
}

Steps Run::steps(const std::string& loop, std::int64_t total, State state) {
  Parts& p = *parts_;
  p.poll();
  if (p.in_loop) raise_value("[steps] the loop '" + loop + "' begins inside the loop '" + p.loops.back().name + "'");
  for (const LoopState& earlier : p.loops)
    if (earlier.name == loop) raise_value("[steps] there has been a loop '" + loop + "': each needs its own name");
  LoopState begun{loop, 0, total};
  p.open_state = std::move(state);
  p.restore_loop(begun);
  p.loops.push_back(begun);
  p.in_loop = true;
  return Steps(*this, begun.done, total);
}

void Run::end_step(std::int64_t step) {
  Parts& p = *parts_;
  LoopState& loop = p.loops.back();
  loop.done = step + 1;
  p.log.end_row();
  ++p.record.cost.steps;
  p.progress.update(loop.done, loop.total, p.progress_text);
  const bool stop = interrupt_requested();
  if (stop || (p.options.checkpoint_every > 0 && loop.done % p.options.checkpoint_every == 0)) p.save();
  if (!stop) return;
  p.progress.clear();
  throw Interrupted();
}

void Run::end_loop(bool failed) noexcept {
  Parts& p = *parts_;
  p.in_loop = false;
  p.loops.back().finished = true;
  if (failed) return;
  try {
    p.log.end_row();
    p.loop_states.push_back(snapshot_of(p.open_state, true));
  } catch (...) { p.failure = std::current_exception(); }
  p.open_state = nullptr;
}

void Run::log(std::int64_t step, const std::vector<std::pair<std::string, double>>& values) {
  Parts& p = *parts_;
  if (!p.in_loop) raise_value("[log] a row belongs to a step: call log() inside a loop over steps()");
  p.progress_text = first_figures(values);
  p.log.add(step, values);
}

Series Run::series(const std::string& metric) const { return parts_->log.series(metric); }

void Run::progress(std::int64_t done, std::int64_t total, const std::string& text) {
  parts_->poll();
  parts_->progress.update(done, total, text);
}

// Figures are kept as result.json writes them: what is printed, checked, saved and restored is one number.
void Run::metric(const std::string& name, double value) {
  parts_->poll();
  parts_->record.metrics.set(name, as_written(value));
}

void Run::baseline(const std::string& row, const std::string& name, double value) {
  parts_->poll();
  parts_->record.baseline(row).set(name, as_written(value));
}

void Run::check(const std::string& metric, double value, const std::string& comparison, double bound, Judged judged) {
  parts_->poll();
  Check check{metric, as_written(value), comparison, bound, judged};
  check.pass();  // throws for a comparison that does not exist, in quick runs too
  if (quick()) return;
  for (Check& old : parts_->record.checks)
    if (old.name() == check.name()) {
      old = check;
      return;
    }
  parts_->record.checks.push_back(check);
}

void Run::finding(Finding finding) {
  parts_->poll();
  finding.value = as_written(finding.value);
  put(parts_->record.findings, std::move(finding), &Finding::name);
}

void Run::plot(Plot plot) {
  const Record& record = parts_->record;
  if (plot.caption.empty()) {
    plot.caption = record.data.name + (record.data.instead_of.empty() ? "" : " (in place of " + record.data.instead_of + ")") + " · seed " +
                   std::to_string(seed()) + (quick() ? " · quick: not a result" : "");
  }
  put(parts_->record.plots, std::move(plot), &Plot::file);
}

void Run::note(const std::string& text) { parts_->say(text); }

void Run::count_samples(std::int64_t samples) { parts_->record.cost.samples += samples; }

void Run::trace(Tape& tape) const {
  if (parts_->options.on_tape && !parts_->tape_shown) tape.trace();
}

void Run::show(const Tape& tape) {
  parts_->record.cost.tape_entries_per_step = tape.stats().entries;
  if (parts_->tape_shown || !parts_->options.on_tape) return;
  parts_->tape_shown = true;
  parts_->options.on_tape(tape);
}

Record Run::finish() {
  Parts& p = *parts_;
  p.poll();
  p.progress.clear();
  p.record.cost = p.cost();
  if (p.options.out_dir.empty()) return p.record;
  for (const Plot& plot : p.record.plots) write_file(p.path(plot.file + ".svg"), to_svg(plot));
  p.log.sync();
  write_file(p.path("result.json"), to_json(p.record));
  if (p.options.checkpoint_every == 0) remove_file(p.checkpoint_path());
  return p.record;
}

}  // namespace gradus::experiments
