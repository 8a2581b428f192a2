// The tests of the program. Started with --gradus first, this binary is the program itself, with the experiments of
// fake_experiment.cpp beside the real ones: that is what the tests run as a child.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstring>

#include <gradus/algorithms/experiments/program/program.h>

int main(int argc, char** argv) {
  if (argc > 1 && !std::strcmp(argv[1], "--gradus")) return gradus::experiments::run_program(argc - 1, argv + 1);
  doctest::Context context(argc, argv);
  return context.run();
}
