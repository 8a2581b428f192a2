#pragma once

/// c [m, n] = a [m, k] b [k, n], row-major, by the user's Eigen.
void user_matmul(float* c, const float* a, const float* b, int m, int k, int n);
