#include <gradus/algorithms/experiments/program/program.h>

int main(int argc, char** argv) { return gradus::experiments::run_program(argc, argv); }
