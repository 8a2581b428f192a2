#include <gradus/gradus.h>
using namespace gradus;

int main() {
  Generator rng(7);
  Mlp model({64, 128, 10}, rng);
  Adam adam({.learning_rate = 1e-3});
  for (int step = 0; step < 1000; ++step) {
    Batch batch = digits().sample(64, rng);
    TrainingPass pass(rng);                               // dropout draws, batch statistics
    Tape tape(model.parameters());                        // watches these
    Tensor loss = cross_entropy(model(batch.inputs), batch.labels);
    adam.step(tape.gradients(loss));                      // gradients are values; nothing is stored in a tensor
  }
}
