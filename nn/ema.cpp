#include <gradus/nn/ema.h>

#include <gradus/engine/record.h>
#include <gradus/kernels/optimizer.h>
#include <gradus/nn/device_runs.h>

namespace gradus::inline v0::detail {

void ema_update(const TensorList& teacher, const TensorList& student, double decay) {
  if (!(decay >= 0 && decay <= 1)) raise_value("[ema_update] decay is " + std::to_string(decay) + "; expected 0 <= decay <= 1");
  if (teacher.size() != student.size())
    raise_value("[ema_update] a teacher of " + std::to_string(teacher.size()) + " parameters and a student of " +
                std::to_string(student.size()) + "; expected the same model");
  for (std::size_t i = 0; i < teacher.size(); ++i) {
    require_same_dtype("ema_update", "teacher", teacher[i], "student", student[i]);
    require_same_shape("ema_update", "teacher", teacher[i], "student", student[i]);
    begin_write("ema_update", teacher[i]);
  }
  Vec<EmaItem> items;
  for (std::size_t i = 0; i < teacher.size(); ++i)  // what passed once passes again
    items.push_back({begin_write("ema_update", teacher[i]), student[i].array()});
  for_each_device_run(
      items.size(), [&](std::size_t i) { return teacher[i].device(); },
      [&](Device device, std::size_t first, std::size_t count) {
        GRADUS_RUN(device, ema_many, items.data() + first, static_cast<int>(count), decay);
      });
}

}  // namespace gradus::inline v0::detail
