#include <gradus/kernels/cpu/pooling_table.h>

namespace gradus::inline v0::cpu {

void max_pool2d(Array y, Array index, ConstArray x, const Pool2d& p) { pooling_table().max_pool2d(y, index, x, p); }
void max_pool2d_scatter(Array dx, ConstArray dy, ConstArray index) { pooling_table().max_pool2d_scatter(dx, dy, index); }
void max_pool2d_gather(Array dy, ConstArray dx, ConstArray index) { pooling_table().max_pool2d_gather(dy, dx, index); }
void avg_pool2d(Array y, ConstArray x, const Pool2d& p) { pooling_table().avg_pool2d(y, x, p); }
void avg_pool2d_backward(Array dx, ConstArray dy, const Pool2d& p) { pooling_table().avg_pool2d_backward(dx, dy, p); }

}  // namespace gradus::inline v0::cpu
