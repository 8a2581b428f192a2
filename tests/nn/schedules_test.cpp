#include <doctest/doctest.h>

#include <gradus/kernels/error.h>
#include <gradus/nn/schedules.h>

#include <cmath>
#include <limits>

#include "support.h"

using namespace gradus;
using gradus::testing::contains;
using gradus::testing::error_of;

TEST_CASE("schedule: a number is a constant schedule") {
  const Schedule s = 1e-3;
  CHECK(s(0) == 1e-3);
  CHECK(s(1'000'000'000'000) == 1e-3);
  CHECK(s.to_string() == "constant(0.001)");
}

TEST_CASE("schedule: linear and cosine are exact at both ends, and stay at the second") {
  const Schedule linear = Schedule::linear(.3, .1, 7), cosine = Schedule::cosine(.996, 1, 1000);
  CHECK(linear(0) == .3);
  CHECK(linear(7) == .1);
  CHECK(linear(8) == .1);
  CHECK(linear(-5) == .3);
  CHECK(linear(3) == doctest::Approx(.3 - .2 * 3 / 7).epsilon(1e-15));
  CHECK(cosine(0) == .996);
  CHECK(cosine(1000) == 1);
  CHECK(cosine(5000) == 1);
  CHECK(cosine(500) == doctest::Approx(.998).epsilon(1e-15));
  CHECK(cosine(250) == doctest::Approx(1 - .004 * (1 + std::sqrt(.5)) / 2).epsilon(1e-14));
}

TEST_CASE("schedule: warm-up climbs to the peak and the cosine leaves from it") {
  const Schedule s = Schedule::warmup_cosine(2e-3, 20, 1020, 1e-5);
  CHECK(s(0) == doctest::Approx(1e-4).epsilon(1e-15));
  CHECK(s(18) < 2e-3);
  CHECK(s(19) == 2e-3);
  CHECK(s(20) == 2e-3);
  CHECK(s(520) == doctest::Approx((2e-3 + 1e-5) / 2).epsilon(1e-14));
  CHECK(s(1020) == 1e-5);
  CHECK(s(99999) == 1e-5);
  for (int t = 20; t < 1020; ++t) CHECK(s(t + 1) <= s(t));
  CHECK(Schedule::warmup_cosine(1, 0, 10)(0) == 1);
}

TEST_CASE("schedule: step decay halves at its multiples") {
  const Schedule s = Schedule::step_decay(8, .5, 2000);
  CHECK(s(0) == 8);
  CHECK(s(1999) == 8);
  CHECK(s(2000) == 4);
  CHECK(s(5999) == 2);
}

TEST_CASE("schedule: what is printed reads back to the same bits") {
  for (const Schedule& s : {Schedule(0.1), Schedule::linear(1. / 3, -2e-17, 12345678901), Schedule::cosine(.99, 1, 40),
                            Schedule::warmup_cosine(2e-3, 20, 1000, 1e-300), Schedule::step_decay(1e-3, .1, 7),
                            Schedule(std::numeric_limits<double>::infinity())}) {
    CHECK(Schedule::parse(s.to_string()) == s);
  }
  CHECK(Schedule::warmup_cosine(2e-3, 20, 1000).to_string() == "warmup_cosine(0.002, 20, 1000, 0)");
  CHECK(Schedule::parse("0.5") == Schedule(.5));
  CHECK(Schedule::parse("linear( 1 ,0,  100 )") == Schedule::linear(1, 0, 100));
}

TEST_CASE("schedule: what makes no sense throws and says so") {
  CHECK(contains(error_of<ValueError>([] { Schedule::linear(1, 0, 0); }), "steps is 0"));
  CHECK(contains(error_of<ValueError>([] { Schedule::warmup_cosine(1, 10, 10); }), "warmup is 10 of 10 steps"));
  CHECK(contains(error_of<ValueError>([] { Schedule::step_decay(1, .5, 0); }), "every is 0"));
  for (const char* text : {"", "linear", "linear(1, 0)", "linear(1, 0, 1.5)", "linear(1, x, 10)", "linear(1, 0, 10", "cubic(1, 2, 3)",
                           "1e-3 x", "constant()", "linear(1,0,10,)"})
    CHECK(contains(error_of<ValueError>([&] { Schedule::parse(text); }), "is no schedule"));
}
