// The device as the kernels of this folder see it.
#pragma once

#include <gradus/kernels/device.h>
