#include <gradus/algorithms/experiments/program/program.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <limits>
#include <new>

#include <CLI/CLI.hpp>

#include <gradus/algorithms/experiments/program/commands.h>
#include <gradus/algorithms/experiments/program/format.h>
#include <gradus/algorithms/experiments/program/interrupt.h>
#include <gradus/algorithms/experiments/program/kernels_command.h>
#include <gradus/kernels/error.h>
#include <gradus/kernels/version.h>
#include <gradus/nn/config.h>

namespace gradus::experiments {
namespace {

using Action = std::function<int()>;

void add_data_option(CLI::App* command, std::string& folder) {
  folder = default_data_dir();
  command->add_option("--data", folder, "where fetched data is (" + folder + ")")->type_name("DIR");
}

// The parser itself would take -1 for 2^64 - 1. Throws ValidationError, which the parser reports with the option's name.
const CLI::Validator kSeed(
    [](std::string& text) {
      std::uint64_t seed = 0;
      const auto result = std::from_chars(text.data(), text.data() + text.size(), seed);
      const bool whole = result.ec == std::errc() && result.ptr == text.data() + text.size();
      return whole ? std::string() : "a seed is a whole number from 0 to 2^64 - 1; got '" + text + "'";
    },
    "");

void add_list(CLI::App& app, Action& action) {
  auto options = std::make_shared<ListOptions>();
  CLI::App* command = app.add_subcommand("list", "every algorithm: paper, data, minutes, status of its checks");
  command->add_option("--family", options->family, "only this family")->type_name("F");
  command->add_flag("--json", options->json, "as JSON");
  command->callback([&action, options] { action = [options] { return list_command(*options); }; });
}

void add_show(CLI::App& app, Action& action) {
  auto name = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("show", "the idea, formula, paper and every config field");
  command->add_option("NAME", *name, "an algorithm of `gradus list`")->type_name("")->required();
  command->callback([&action, name] { action = [name] { return show_command(*name); }; });
}

void add_run(CLI::App& app, Action& action) {
  auto o = std::make_shared<RunCommandOptions>();
  auto seed = std::make_shared<std::uint64_t>(1);
  CLI::App* command = app.add_subcommand("run", "trains, prints the figures beside the baselines, writes the run folder");
  command->add_option("NAME", o->names, "algorithms of `gradus list`")->type_name("")->required();
  CLI::Option* one = command->add_option("--seed", *seed, "seed of everything random (1)")->check(kSeed)->type_name("N");
  CLI::Option* several = command->add_option("--seeds", o->seeds, "several seeds, checks are judged over all")
                             ->delimiter(',')
                             ->check(kSeed)
                             ->type_name("1,2,3");
  several->excludes(one);
  command->add_option("--device", o->device, "where it runs (cpu)")->type_name("cpu|cuda");
  command->add_option("--threads", o->threads, "threads (1); the result is the same for any number")
      ->check(CLI::Range(1, 1024))
      ->type_name("N");
  command->add_flag("--quick", o->quick, "the same algorithm at a size that ends in seconds; no check is applied");
  add_data_option(command, o->data_dir);
  command->add_option("--out", o->out_dir, "the run folder (runs/NAME-seedN)")->type_name("DIR");
  command->add_option("--set", o->assignments, "a config field (gradus show NAME lists them)")
      ->type_name("FIELD=VALUE")
      ->take_all()
      ->expected(1);
  command->add_option("--checkpoint-every", o->checkpoint_every, "save a checkpoint every so many steps, and keep it")
      ->check(CLI::Range(std::int64_t{1}, std::numeric_limits<std::int64_t>::max()))
      ->type_name("STEPS");
  command->add_flag("--resume", o->resume, "continue from the checkpoint in the run folder");
  command->add_option("--trace", o->trace_file, "write the tape of one training step, with norms and times, as JSON")->type_name("FILE");
  command->add_flag("--check", o->check, "exit code 3 when an acceptance check fails");
  command->add_flag("--json", o->json, "the result as JSON on stdout, and nothing else");
  command->callback([&action, o, seed, one] {
    if (one->count()) o->seeds = {*seed};
    action = [o] { return run_command(*o); };
  });
}

void add_report(CLI::App& app, Action& action) {
  auto options = std::make_shared<ReportOptions>();
  CLI::App* command = app.add_subcommand("report", "one self-contained page: tables, plots, config, seeds");
  command->add_option("RUN", options->runs, "run folders (all in runs/)")->type_name("");
  command->add_option("-o", options->file, "the page (report.html)")->type_name("FILE.html");
  command->callback([&action, options] { action = [options] { return report_command(*options); }; });
}

void add_tape(CLI::App& app, Action& action) {
  auto options = std::make_shared<TapeOptions>();
  CLI::App* command = app.add_subcommand("tape", "the tape of one training step as table and picture");
  command->add_option("NAME", options->name, "an algorithm of `gradus list`")->type_name("")->required();
  command->add_option("--dot", options->dot_file, "write it for Graphviz")->type_name("FILE");
  command->add_option("--svg", options->svg_file, "write it as a picture")->type_name("FILE");
  command->add_option("--seed", options->seed, "seed of everything random (1)")->check(kSeed)->type_name("N");
  command->add_option("--set", options->assignments, "a config field")->type_name("FIELD=VALUE")->take_all()->expected(1);
  add_data_option(command, options->data_dir);
  command->callback([&action, options] { action = [options] { return tape_command(*options); }; });
}

void add_kernels(CLI::App& app, Action& action) {
  auto options = std::make_shared<KernelsOptions>();
  CLI::App* command = app.add_subcommand("kernels", "what each CUDA kernel costs: registers, bytes, conflicts, FLOPs (no GPU needed)");
  command->add_option("--only", options->only, "entries that begin so")->type_name("TEXT,...");
  command->add_flag("--list", options->list, "names the entries and measures nothing");
  command->add_option("--json", options->json_file, "write everything that was measured")->type_name("FILE");
  command->add_option("--check", options->check_file, "exit code 3 when a kernel is worse than this baseline or breaks a bound")
      ->type_name("FILE");
  command->add_option("--update", options->update_file, "write the baseline")->type_name("FILE");
  command->callback([&action, options] { action = [options] { return kernels_command(*options); }; });
}

void add_data(CLI::App& app, Action& action) {
  auto folder = std::make_shared<std::string>();
  auto name = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("data", "which data sets are here, where they come from, their licence");
  add_data_option(command, *folder);
  CLI::App* get = command->add_subcommand("get", "fetches a set that is not built in");
  get->add_option("NAME", *name, "fashion-mnist, wordnet or fann")->type_name("")->required();
  get->add_option("--data", *folder, "where to (" + *folder + ")")->type_name("DIR");
  command->callback([&action, folder, get] {
    if (!get->parsed()) action = [folder] { return data_list_command(*folder); };
  });
  get->callback([&action, folder, name] { action = [folder, name] { return data_get_command(*name, *folder); }; });
}

// "gradus: there is no command 'rnu'; did you mean run?" in place of the parser's complaint about an extra argument.
std::string unknown_command(const CLI::App& app, int argc, const char* const* argv) {
  if (argc < 2 || argv[1][0] == '-') return "";
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) names.push_back(command->get_name());
  if (std::find(names.begin(), names.end(), argv[1]) != names.end()) return "";
  return "there is no command '" + std::string(argv[1]) + "'; did you mean " + nearest_first(argv[1], names)[0] +
         "? (gradus --help lists them)";
}

// The first line of the parser's text, as a sentence.
std::string sentence(std::string text) {
  text = text.substr(0, text.find('\n'));
  while (!text.empty() && (text.back() == '.' || text.back() == ' ')) text.pop_back();
  if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z' && text.rfind("NAME", 0) != 0) text[0] = static_cast<char>(text[0] - 'A' + 'a');
  return text;
}

int say_error(const std::string& text, int code) {
  std::cerr << "gradus: " << text << std::endl;
  return code;
}

// Runs the command and turns whatever it throws into a sentence and an exit code.
int run_action(const Action& action) {
  try {
    const int code = action();
    std::cout.flush();
    if (!std::cout) return say_error("cannot write the output", kFailed);
    return code;
  } catch (const UsageError& error) { return say_error(error.text, kUsage); } catch (const Interrupted&) {
    return kInterrupted;
  } catch (const std::bad_alloc&) { return say_error("there is not enough memory", kFailed); } catch (const std::exception& error) {
    return say_error(error.what(), kFailed);
  }
}

}  // namespace

int run_program(int argc, const char* const* argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file above the limit is an error of write(), not the end of the process
  CLI::App app("Trains the algorithms of gradus on real data, beside their baselines.", "gradus");
  app.set_version_flag("--version", std::string("gradus ") + version());
  app.require_subcommand(1);
  app.footer("gradus COMMAND --help lists the options of a command.");
  Action action;
  for (const auto add : {add_list, add_show, add_run, add_report, add_tape, add_kernels, add_data}) add(app, action);

  const std::string unknown = unknown_command(app, argc, argv);
  if (!unknown.empty()) return say_error(unknown, kUsage);
  if (argc < 2) {
    std::cerr << app.help();
    return kUsage;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) { return app.exit(help); } catch (const CLI::ParseError& error) {
    return say_error(sentence(error.what()) + " (gradus " + std::string(argv[1]) + " --help)", kUsage);
  }
  return run_action(action);
}

}  // namespace gradus::experiments
