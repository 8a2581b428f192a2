// gradus: a tape-based autograd engine and the training algorithms of the field. This header includes everything public.
//
//     Generator rng(7);
//     Mlp model({64, 128, 10}, rng);
//     Adam adam({.learning_rate = 1e-3});
//     for (int step = 0; step < 1000; ++step) {
//       Batch batch = digits().sample(64, rng);
//       TrainingPass pass(rng);                             // dropout draws, batch statistics
//       Tape tape(model.parameters());                      // watches these
//       Tensor loss = cross_entropy(model(batch.inputs), batch.labels);
//       adam.step(tape.gradients(loss));                    // gradients are values; nothing is stored in a tensor
//     }
#pragma once

#include <gradus/kernels/error.h>
#include <gradus/kernels/array.h>
#include <gradus/kernels/philox.h>
#include <gradus/kernels/parallel.h>
#include <gradus/kernels/version.h>

#include <gradus/engine/memory.h>
#include <gradus/engine/tensor.h>
#include <gradus/engine/tape.h>
#include <gradus/engine/pass.h>
#include <gradus/engine/functional.h>

#include <gradus/engine/ops/contrastive.h>
#include <gradus/engine/ops/convolution.h>
#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/index.h>
#include <gradus/engine/ops/matmul.h>
#include <gradus/engine/ops/normalization.h>
#include <gradus/engine/ops/pair2d.h>
#include <gradus/engine/ops/pooling.h>
#include <gradus/engine/ops/random.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/ops/shape.h>
#include <gradus/engine/ops/softmax.h>

#include <gradus/nn/activation.h>
#include <gradus/nn/config.h>
#include <gradus/nn/convolution.h>
#include <gradus/nn/dropout.h>
#include <gradus/nn/ema.h>
#include <gradus/nn/gradients.h>
#include <gradus/nn/growth.h>
#include <gradus/nn/initializers.h>
#include <gradus/nn/lbfgs.h>
#include <gradus/nn/linear.h>
#include <gradus/nn/metrics.h>
#include <gradus/nn/module.h>
#include <gradus/nn/normalization.h>
#include <gradus/nn/optimizers.h>
#include <gradus/nn/parameter.h>
#include <gradus/nn/pooling.h>
#include <gradus/nn/safetensors.h>
#include <gradus/nn/schedules.h>
#include <gradus/nn/sequential.h>
#include <gradus/nn/serialize.h>

#include <gradus/nn/models/mlp.h>
#include <gradus/nn/models/convnet.h>

#include <gradus/nn/data/dataset.h>
#include <gradus/nn/data/idx.h>
#include <gradus/nn/data/loader.h>
#include <gradus/nn/data/transforms.h>
#include <gradus/nn/data/vendored.h>

#include <gradus/algorithms/adversarial/adversarial_training.h>
#include <gradus/algorithms/adversarial/attack.h>
#include <gradus/algorithms/adversarial/fgsm.h>
#include <gradus/algorithms/adversarial/pgd.h>
#include <gradus/algorithms/adversarial/threat_model.h>

#include <gradus/algorithms/meta/check_meta_gradient.h>
#include <gradus/algorithms/meta/fomaml.h>
#include <gradus/algorithms/meta/inner_loop.h>
#include <gradus/algorithms/meta/maml.h>
#include <gradus/algorithms/meta/reptile.h>
#include <gradus/algorithms/meta/task.h>

#include <gradus/algorithms/self_supervised/knn_probe.h>
#include <gradus/algorithms/self_supervised/linear_probe.h>
#include <gradus/algorithms/self_supervised/representation_monitor.h>
#include <gradus/algorithms/self_supervised/simclr.h>
#include <gradus/algorithms/self_supervised/views.h>
