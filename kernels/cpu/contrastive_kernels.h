// What the hot files contrastive*.cpp export to each other: the entries of the table in contrastive.cpp (see isa.h).
#pragma once

#include <gradus/kernels/contrastive.h>

namespace gradus::inline v0::cpu::GRADUS_ISA {

std::size_t contrastive_backward_workspace_bytes(const Contrastive& x);
void contrastive_backward(const ContrastiveGradients& d, ConstArray dloss, ConstArray loss, ConstArray lse, const Contrastive& x,
                          Workspace workspace);
std::size_t contrastive_double_backward_workspace_bytes(const Contrastive& x);
void contrastive_double_backward(Array ddloss, const ContrastiveGradients& dd, const ContrastiveCotangents& u, ConstArray dloss,
                                 ConstArray loss, ConstArray lse, const Contrastive& x, Workspace workspace);

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
