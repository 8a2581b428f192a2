#include <gradus/kernels/cpu/contrastive_kernels.h>
#include <gradus/kernels/cpu/contrastive_tile.h>
namespace gradus::inline v0::cpu::GRADUS_ISA {
std::size_t contrastive_double_backward_workspace_bytes(const Contrastive& ) {return 0;}
void contrastive_double_backward(Array , Array , Array , Array , ConstArray , ConstArray , ConstArray ,
                                 ConstArray , ConstArray , ConstArray , const Contrastive& , Workspace ){}
}
