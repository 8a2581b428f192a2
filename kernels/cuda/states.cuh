// What a thread of a reduction carries (its state), how two states become one, and how they cross lanes and shared memory.
//
// A reduction is a type with
//   Element, kInputs        what it reads: kInputs arrays side by side
//   State, Partial          what the threads of a block merge; what blocks leave for each other (mostly the same)
//   Given                   where its results go and what it needs besides x: a kernel's argument
//   none, add, merge, partial, join, finish       `nothing` is the Partial that changes none
// add() takes in the elements that one thread has loaded. They are summed in T, as a tree; what comes from different loads is summed in
// the state's type, f64 for long sums, so an error grows with the logarithm of a length.
#pragma once

#include <gradus/kernels/cuda/packs.cuh>

namespace gradus::inline v0::cuda {

template <class A, class B> struct Two {
  A a;
  B b;
};
template <class Y> struct OneOutput { Y* y; };

template <class S> __device__ inline S from_lane(S s, int offset) { return __shfl_xor_sync(kAllLanes, s, offset); }
template <class A, class B> __device__ inline Two<A, B> from_lane(Two<A, B> s, int offset) {
  return {__shfl_xor_sync(kAllLanes, s.a, offset), __shfl_xor_sync(kAllLanes, s.b, offset)};
}

/// An array in shared memory with a hole after every 128 bytes: neither threads that are neighbours nor threads that are 2 or 4 elements
/// apart meet in a bank.
template <class T, int kCount> struct Spaced {
  static constexpr int kRun = 128 / static_cast<int>(sizeof(T));
  T at[kCount + kCount / kRun];
  __device__ T& operator[](int i) { return at[i + i / kRun]; }
  __device__ const T& operator[](int i) const { return at[i + i / kRun]; }
};

/// kCount states in shared memory, each member in an array of its own.
template <class S, int kCount> struct SharedStates {
  Spaced<S, kCount> at;
  __device__ void put(int i, S s) { at[i] = s; }
  __device__ S get(int i) const { return at[i]; }
};
template <class A, class B, int kCount> struct SharedStates<Two<A, B>, kCount> {
  Spaced<A, kCount> a;
  Spaced<B, kCount> b;
  __device__ void put(int i, Two<A, B> s) { a[i] = s.a, b[i] = s.b; }
  __device__ Two<A, B> get(int i) const { return {a[i], b[i]}; }
};

/// n states in global memory, likewise; null if there is no memory.
template <class S> struct StoredStates {
  static constexpr std::size_t kBytes = sizeof(S);  // of one
  S* at;
  StoredStates(void* memory, std::int64_t) : at(static_cast<S*>(memory)) {}
  __device__ bool null() const { return at == nullptr; }
  __device__ void put(std::int64_t i, S s) const { at[i] = s; }
  __device__ S get(std::int64_t i) const { return at[i]; }
};
template <class A, class B> struct StoredStates<Two<A, B>> {
  static constexpr std::size_t kBytes = sizeof(A) + sizeof(B);
  static constexpr bool kFirst = sizeof(A) >= sizeof(B);  // the larger member comes first and leaves the other one aligned
  A* a;
  B* b;
  StoredStates(void* memory, std::int64_t n)
      : a(kFirst ? static_cast<A*>(memory) : reinterpret_cast<A*>(static_cast<B*>(memory) + n)),
        b(kFirst ? reinterpret_cast<B*>(static_cast<A*>(memory) + n) : static_cast<B*>(memory)) {}
  __device__ bool null() const { return (kFirst ? static_cast<const void*>(a) : b) == nullptr; }
  __device__ void put(std::int64_t i, Two<A, B> s) const { a[i] = s.a, b[i] = s.b; }
  __device__ Two<A, B> get(std::int64_t i) const { return {a[i], b[i]}; }
};

/// Where the elements of one load lie in the line that is reduced: packs of kPack neighbours, `stride` apart; those from `end` on are not
/// there.
template <int kPack, class I> struct Places {
  I first, stride, end;
  __device__ I position(int k) const { return first + static_cast<I>(k / kPack) * stride + static_cast<I>(k % kPack); }
  __device__ bool valid(int k) const { return position(k) < end; }
};

/// The sum of v[0 .. kCount), pairwise.
template <int kCount, class T> __device__ inline T tree_sum(const T* v) {
  if constexpr (kCount == 1) return v[0];
  else return tree_sum<kCount / 2>(v) + tree_sum<kCount - kCount / 2>(v + kCount / 2);
}

// NaN wins.
template <class T> __device__ inline T larger(T a, T b) { return b > a || b != b ? b : a; }
template <class T> __device__ inline T smaller(T a, T b) { return b < a || b != b ? b : a; }
template <class T> __device__ inline T infinity() { return static_cast<T>(__builtin_huge_val()); }

/// sum: A is the type across loads.
template <class T, class A> struct Sum {
  using Element = T;
  using State = A;
  using Partial = A;
  using Given = OneOutput<T>;
  static constexpr int kInputs = 1;
  static constexpr bool kCentres = false;

  __device__ Sum() {}
  __device__ Sum(const Given&, std::int64_t) {}
  __device__ static State none() { return 0; }
  template <int N, class P> __device__ void add(State& s, const T (&x)[1][N], const P& at) const {
    T v[N];
#pragma unroll
    for (int k = 0; k < N; ++k) v[k] = at.valid(k) ? x[0][k] : T(0);
    s += static_cast<A>(tree_sum<N>(v));
  }
  __device__ static State merge(State a, State b) { return a + b; }
  __device__ static Partial nothing() { return none(); }
  __device__ Partial partial(State s, double) const { return s; }
  __device__ static Partial join(Partial a, Partial b) { return a + b; }
  __device__ static void finish(const Given& g, std::int64_t output, Partial s) { g.y[output] = static_cast<T>(s); }
};

/// max, or min.
template <class T, bool kLargest> struct Extremum {
  using Element = T;
  using State = T;
  using Partial = T;
  using Given = OneOutput<T>;
  static constexpr int kInputs = 1;
  static constexpr bool kCentres = false;

  __device__ Extremum() {}
  __device__ Extremum(const Given&, std::int64_t) {}
  __device__ static State none() { return kLargest ? -infinity<T>() : infinity<T>(); }
  template <int N, class P> __device__ void add(State& s, const T (&x)[1][N], const P& at) const {
#pragma unroll
    for (int k = 0; k < N; ++k) s = merge(s, at.valid(k) ? x[0][k] : none());
  }
  __device__ static State merge(State a, State b) { return kLargest ? larger(a, b) : smaller(a, b); }
  __device__ static Partial nothing() { return none(); }
  __device__ Partial partial(State s, double) const { return s; }
  __device__ static Partial join(Partial a, Partial b) { return merge(a, b); }
  __device__ static void finish(const Given& g, std::int64_t output, Partial s) { g.y[output] = s; }
};

/// Takes N numbers into {largest, sum of exp(x - largest)} (Milakov & Gimelshein 2018, "Online normalizer calculation for softmax"); v
/// becomes their exp(v - largest). A number that is not there is -inf.
template <int N, class T, class A> __device__ inline void take_in(Two<T, A>& s, T (&v)[N]) {
  T top = s.a;
#pragma unroll
  for (int k = 0; k < N; ++k) top = larger(top, v[k]);
  if (top != s.a) s = {top, s.b * static_cast<A>(::exp(s.a - top))};
  const T centre = top == -infinity<T>() ? T(0) : top;  // all -inf so far: exp gives the zeros
#pragma unroll
  for (int k = 0; k < N; ++k) v[k] = ::exp(v[k] - centre);
  s.b += static_cast<A>(tree_sum<N>(v));
}

/// logsumexp in one pass.
template <class T, class A> struct LogSumExp {
  using Element = T;
  using State = Two<T, A>;
  using Partial = State;
  using Given = OneOutput<T>;
  static constexpr int kInputs = 1;
  static constexpr bool kCentres = false;

  __device__ LogSumExp() {}
  __device__ LogSumExp(const Given&, std::int64_t) {}
  __device__ static State none() { return {-infinity<T>(), 0}; }

  template <int N, class P> __device__ void add(State& s, const T (&x)[1][N], const P& at) const {
    T v[N];
#pragma unroll
    for (int k = 0; k < N; ++k) v[k] = at.valid(k) ? x[0][k] : -infinity<T>();
    take_in(s, v);
  }
  __device__ static State merge(State a, State b) {
    if (a.a == b.a) return {a.a, a.b + b.b};
    const T top = larger(a.a, b.a);
    const bool first = a.a == top;
    const A lower = static_cast<A>(::exp((first ? b.a : a.a) - top));
    return {top, first ? a.b + b.b * lower : b.b + a.b * lower};
  }
  __device__ static Partial nothing() { return none(); }
  __device__ Partial partial(State s, double) const { return s; }
  __device__ static Partial join(Partial a, Partial b) { return merge(a, b); }
  __device__ static void finish(const Given& g, std::int64_t output, Partial s) {
    const bool infinite = s.a == infinity<T>() || s.a == -infinity<T>();
    g.y[output] = infinite ? s.a : static_cast<T>(static_cast<A>(s.a) + ::log(s.b));
  }
};

/// argmax: {value, position}, the first of equals, the first NaN before any number.
template <class T, class I> struct Argmax {
  using Element = T;
  using State = Two<T, I>;
  using Partial = State;
  using Given = OneOutput<std::int64_t>;
  static constexpr int kInputs = 1;
  static constexpr bool kCentres = false;

  __device__ Argmax() {}
  __device__ Argmax(const Given&, std::int64_t) {}
  __device__ static State none() { return {-infinity<T>(), ~I(0)}; }  // loses to any element

  template <int N, class P> __device__ void add(State& s, const T (&x)[1][N], const P& at) const {
#pragma unroll
    for (int k = 0; k < N; ++k)
      if (at.valid(k)) s = merge(s, {x[0][k], static_cast<I>(at.position(k))});
  }
  __device__ static State merge(State a, State b) {
    const bool a_nan = a.a != a.a, b_nan = b.a != b.a;
    const bool equal = a.a == b.a || (a_nan && b_nan), greater = b.a > a.a || (b_nan && !a_nan);
    return greater || (equal && b.b < a.b) ? b : a;
  }
  __device__ static Partial nothing() { return none(); }
  __device__ Partial partial(State s, double) const { return s; }
  __device__ static Partial join(Partial a, Partial b) { return merge(a, b); }
  __device__ static void finish(const Given& g, std::int64_t output, Partial s) { g.y[output] = static_cast<std::int64_t>(s.b); }
};

}  // namespace gradus::inline v0::cuda
