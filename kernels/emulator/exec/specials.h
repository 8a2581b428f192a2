// Where a warp keeps its special registers: Warp::specials points to one of these. The machine fills it; the decoder hands out offsets.
#pragma once

#include <cstdint>
#include <string_view>

#include <gradus/kernels/emulator/exec/warp.h>

namespace gradus::emulator {

/// Each register as 32 lanes. What moves by itself (clock, clock64, globaltimer) is written by mov's own handler before it reads.
struct alignas(64) Specials {
  using Word = std::uint32_t[kLanes];
  using Long = std::uint64_t[kLanes];
  Word tid[3], ntid[3], ctaid[3], nctaid[3];
  Word laneid, warpid, nwarpid, smid, nsmid;
  Word lanemask_eq, lanemask_le, lanemask_lt, lanemask_ge, lanemask_gt;
  Word clusterid[3], nclusterid[3], cluster_ctaid[3], cluster_nctaid[3], cluster_ctarank, cluster_nctarank;
  Word dynamic_smem_size, total_smem_size, aggr_smem_size,
      reserved_smem[5];  // reserved: offset_begin, offset_end, offset_cap, offset_0, offset_1
  Word clock, clock_hi, globaltimer_lo, globaltimer_hi;
  Word envreg[32];
  Word warp_size;  // WARP_SZ
  std::uint16_t short_tid[3][kLanes], short_ntid[3][kLanes], short_ctaid[3][kLanes],
      short_nctaid[3][kLanes];  // for mov.u16, as old code has it
  Word short_gridid;            // for mov.u32
  Long gridid, clock64, globaltimer, current_graph_exec;
  Mask is_explicit_cluster;  // a predicate
};

/// A special register by its name ("%tid.x", "%envreg2", "WARP_SZ"): offset in Specials and bytes of a lane (0: a predicate);
/// offset -1: there is none of that name. `%gridid` is 64 bits wide.
struct SpecialPlace {
  std::int32_t offset = -1;
  int bytes = 4;
};
SpecialPlace find_special(std::string_view name);
/// The same for an instruction that reads `bytes` of a lane: PTX's first versions had 16-bit thread and block numbers and a 32-bit %gridid,
/// which ptxas still accepts.
SpecialPlace find_special(std::string_view name, int bytes);

}  // namespace gradus::emulator
