// Special registers: their names, and their values for a warp of a launch.
#include <gradus/kernels/emulator/exec/specials.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>

#include <gradus/kernels/emulator/exec/launch.h>

namespace gradus::emulator {
namespace {

constexpr std::uint32_t kReservedSharedBytes = 1024;  // at the front of a block's shared memory on sm_80 and later

std::map<std::string, SpecialPlace, std::less<>> make_places() {
  std::map<std::string, SpecialPlace, std::less<>> places;
  const auto word = [&](const std::string& name, std::size_t offset) { places[name] = {static_cast<std::int32_t>(offset), 4}; };
  const auto longer = [&](const std::string& name, std::size_t offset) { places[name] = {static_cast<std::int32_t>(offset), 8}; };
  const std::pair<const char*, std::size_t> vectors[] = {{"%tid", offsetof(Specials, tid)},
                                                         {"%ntid", offsetof(Specials, ntid)},
                                                         {"%ctaid", offsetof(Specials, ctaid)},
                                                         {"%nctaid", offsetof(Specials, nctaid)},
                                                         {"%clusterid", offsetof(Specials, clusterid)},
                                                         {"%nclusterid", offsetof(Specials, nclusterid)},
                                                         {"%cluster_ctaid", offsetof(Specials, cluster_ctaid)},
                                                         {"%cluster_nctaid", offsetof(Specials, cluster_nctaid)}};
  for (const auto& [name, offset] : vectors)
    for (int i = 0; i < 3; ++i) word(std::string(name) + "." + "xyz"[i], offset + static_cast<std::size_t>(i) * sizeof(Specials::Word));
  const std::pair<const char*, std::size_t> words[] = {{"%laneid", offsetof(Specials, laneid)},
                                                       {"%warpid", offsetof(Specials, warpid)},
                                                       {"%nwarpid", offsetof(Specials, nwarpid)},
                                                       {"%smid", offsetof(Specials, smid)},
                                                       {"%nsmid", offsetof(Specials, nsmid)},
                                                       {"%lanemask_eq", offsetof(Specials, lanemask_eq)},
                                                       {"%lanemask_le", offsetof(Specials, lanemask_le)},
                                                       {"%lanemask_lt", offsetof(Specials, lanemask_lt)},
                                                       {"%lanemask_ge", offsetof(Specials, lanemask_ge)},
                                                       {"%lanemask_gt", offsetof(Specials, lanemask_gt)},
                                                       {"%cluster_ctarank", offsetof(Specials, cluster_ctarank)},
                                                       {"%cluster_nctarank", offsetof(Specials, cluster_nctarank)},
                                                       {"%dynamic_smem_size", offsetof(Specials, dynamic_smem_size)},
                                                       {"%total_smem_size", offsetof(Specials, total_smem_size)},
                                                       {"%aggr_smem_size", offsetof(Specials, aggr_smem_size)},
                                                       {"%clock", offsetof(Specials, clock)},
                                                       {"%clock_hi", offsetof(Specials, clock_hi)},
                                                       {"%globaltimer_lo", offsetof(Specials, globaltimer_lo)},
                                                       {"%globaltimer_hi", offsetof(Specials, globaltimer_hi)},
                                                       {"WARP_SZ", offsetof(Specials, warp_size)}};
  for (const auto& [name, offset] : words) word(name, offset);
  const char* const reserved[] = {"begin", "end", "cap", "0", "1"};
  for (std::size_t i = 0; i < 5; ++i)
    word(std::string("%reserved_smem_offset_") + reserved[i], offsetof(Specials, reserved_smem) + i * sizeof(Specials::Word));
  for (std::size_t i = 0; i < 32; ++i) word("%envreg" + std::to_string(i), offsetof(Specials, envreg) + i * sizeof(Specials::Word));
  longer("%gridid", offsetof(Specials, gridid));
  longer("%clock64", offsetof(Specials, clock64));
  longer("%globaltimer", offsetof(Specials, globaltimer));
  longer("%current_graph_exec", offsetof(Specials, current_graph_exec));
  places["%is_explicit_cluster"] = {offsetof(Specials, is_explicit_cluster), 0};
  return places;
}

template <class Word, class T> void fill(Word& word, T value) { std::fill(std::begin(word), std::end(word), value); }

}  // namespace

SpecialPlace find_special(std::string_view name) {
  static const auto places = make_places();
  const auto it = places.find(name);
  return it == places.end() ? SpecialPlace{} : it->second;
}

SpecialPlace find_special(std::string_view name, int bytes) {
  const std::pair<std::string_view, std::size_t> narrow[] = {{"%tid.", offsetof(Specials, short_tid)},
                                                             {"%ntid.", offsetof(Specials, short_ntid)},
                                                             {"%ctaid.", offsetof(Specials, short_ctaid)},
                                                             {"%nctaid.", offsetof(Specials, short_nctaid)}};
  const SpecialPlace wide = find_special(name);
  if (wide.bytes == bytes) return wide;
  if (name == "%gridid" && bytes == 4) return {offsetof(Specials, short_gridid), 4};
  for (const auto& [prefix, offset] : narrow) {
    if (bytes == 2 && wide.offset >= 0 && name.substr(0, prefix.size()) == prefix)
      return {static_cast<std::int32_t>(offset + static_cast<std::size_t>(name.back() - 'x') * sizeof(std::uint16_t) * kLanes), 2};
  }
  return wide;
}

void fill_specials(Specials& s, const Launch& launch, const Warp& warp) {
  s = Specials{};
  const auto& [grid, threads, dynamic_shared, cooperative] = launch.config;
  for (std::uint32_t l = 0; l < kLanes; ++l) {
    const std::uint32_t thread = warp.index * kLanes + l;
    s.tid[0][l] = thread % threads[0];
    s.tid[1][l] = thread / threads[0] % threads[1];
    s.tid[2][l] = thread / threads[0] / threads[1];
    for (int i = 0; i < 3; ++i) s.short_tid[i][l] = static_cast<std::uint16_t>(s.tid[i][l]);
    s.laneid[l] = l;
    s.lanemask_eq[l] = Mask{1} << l;
    s.lanemask_lt[l] = s.lanemask_eq[l] - 1;
    s.lanemask_le[l] = s.lanemask_lt[l] | s.lanemask_eq[l];
    s.lanemask_ge[l] = ~s.lanemask_lt[l];
    s.lanemask_gt[l] = ~s.lanemask_le[l];
  }
  for (int i = 0; i < 3; ++i) {
    fill(s.ntid[i], threads[i]);
    fill(s.nctaid[i], grid[i]);
    fill(s.short_ntid[i], static_cast<std::uint16_t>(threads[i]));
    fill(s.short_nctaid[i], static_cast<std::uint16_t>(grid[i]));
    fill(s.nclusterid[i], grid[i]);  // clusters of one block
    fill(s.cluster_nctaid[i], 1u);
  }
  fill(s.cluster_nctarank, 1u);
  fill(s.warpid, warp.index);
  fill(s.nwarpid, static_cast<std::uint32_t>(limits().max_threads_per_sm / kLanes));
  fill(s.nsmid, static_cast<std::uint32_t>(limits().multiprocessors));
  const auto total = static_cast<std::uint32_t>(launch.static_shared + dynamic_shared);
  fill(s.dynamic_smem_size, static_cast<std::uint32_t>(dynamic_shared));
  fill(s.total_smem_size, total);
  fill(s.aggr_smem_size, total + kReservedSharedBytes);
  fill(s.reserved_smem[1], kReservedSharedBytes);
  fill(s.reserved_smem[2], kReservedSharedBytes);
  fill(s.reserved_smem[3], static_cast<std::uint32_t>(launch.reserved_shared_at));
  fill(s.reserved_smem[4], static_cast<std::uint32_t>(launch.reserved_shared_at));
  fill(s.envreg[1], static_cast<std::uint32_t>(launch.grid_workspace >> 32));  // cooperative_groups: the high half is in 1
  fill(s.envreg[2], static_cast<std::uint32_t>(launch.grid_workspace));
  fill(s.warp_size, static_cast<std::uint32_t>(kLanes));
  fill(s.gridid, std::uint64_t{1});
  fill(s.short_gridid, 1u);
}

void fill_block_specials(Specials& s, const Block& block) {
  for (int i = 0; i < 3; ++i) {
    fill(s.ctaid[i], block.id[i]);
    fill(s.short_ctaid[i], static_cast<std::uint16_t>(block.id[i]));
    fill(s.clusterid[i], block.id[i]);
  }
  fill(s.smid, block.linear % static_cast<std::uint32_t>(limits().multiprocessors));
}

}  // namespace gradus::emulator
