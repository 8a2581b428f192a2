// Coefficients and limits of math.h, per element type. Fitted for it by Remez exchange (rationals: Lawson's iteration) with 60 digits;
// the power of two beside a table is its largest relative error before rounding.
#pragma once

#include <cstdint>

#if !defined(GRADUS_ISA)
#error "math_constants.h belongs to hot files"
#endif

namespace gradus::inline v0::cpu::GRADUS_ISA {

template <class T> struct MathConstants;

// clang-format off: one table, one block
template <> struct MathConstants<float> {
  static constexpr int kMantissa = 23, kBias = 127;
  static constexpr float kShift = 0x1.8p23f;  // adding it rounds to an integer and leaves that integer in the low bits
  static constexpr float kTwoToMantissa = 0x1p23f, kSmallestNormal = 0x1p-126f;
  static constexpr std::uint32_t kMantissaMask = 0x007FFFFF;
  static constexpr std::uint32_t kUpperHalf = 0xFFFFF000;  // 12 bits of significand, whose square is exact
  static constexpr float kLog2e = 1.44269504f;
  static constexpr float kLn2High = 0x1.62e4p-1f, kLn2Low = 1.428606765e-6f;  // 14 bits: n kLn2High is exact for |n| < 2^10
  static constexpr float kExpHigh = 89.0f, kExpLow = -104.0f;                 // e^x beyond: infinity, 0
  static constexpr float kExpm1Low = -20.0f;                                  // e^x - 1 below: -1
  static constexpr float kTiny = 0x1p-26f;                                    // e^x - 1 = x where |x| is smaller
  static constexpr float kTanhHigh = 10.0f;                                   // tanh above: 1
  static constexpr float kTailHigh = 14.3f;                                   // Phi(-x) above: 0
  /// e^r = 1 + r + r^2 Q(r), |r| <= ln 2 / 2: 2^-28.
  static constexpr float kExp[] = {0.4999999404f, 0.1666651964f, 0.04166840389f, 0.008368898183f, 0.001381425187f};
  /// The same, relative to e^r - 1: 2^-32.
  static constexpr float kExpm1[] = {0.5f, 0.1666666716f, 0.04166635126f, 0.008333272301f, 0.001394127728f, 0.000199145783f};
  /// log((1 + s) / (1 - s)) = 2 s + s^3 R(s^2), |s| <= 0.1717: 2^-30.
  static constexpr float kLog[] = {0.6666677594f, 0.3997749686f, 0.298730582f};
  /// The same for 0 <= s <= 1/3: 2^-27.
  static constexpr float kLogWide[] = {0.6666641235f, 0.4002176821f, 0.2799786925f, 0.280312717f};
  /// erf(x) = x + x P(x^2), |x| <= 1: 2^-29.
  static constexpr float kErf[] = {0.1283791671f,   -0.3761262596f,    0.1128358543f,  -0.02685381286f,
                                   0.005188327748f, -0.0008010191959f, 7.853852003e-5f};
  /// e^(a^2 / 2) Phi(-a) = N(a) / D(a), 0 <= a <= 14.5: 2^-27. All terms are positive, so nothing cancels.
  static constexpr float kTailN[] = {0.5f, 0.4383235872f, 0.1832547784f, 0.0406393595f, 0.004117065109f};
  static constexpr float kTailD[] = {1.0f, 1.674532175f, 1.202588201f, 0.4695219696f, 0.101874195f, 0.01031983271f};
};

template <> struct MathConstants<double> {
  static constexpr int kMantissa = 52, kBias = 1023;
  static constexpr double kShift = 0x1.8p52;
  static constexpr double kTwoToMantissa = 0x1p52, kSmallestNormal = 0x1p-1022;
  static constexpr std::uint64_t kMantissaMask = 0x000FFFFFFFFFFFFF;
  static constexpr std::uint64_t kUpperHalf = 0xFFFFFFFFF8000000;  // 26 bits
  static constexpr double kLog2e = 1.4426950408889634;
  static constexpr double kLn2High = 0x1.62e42fefa2p-1, kLn2Low = 7.371002565167799e-13;  // 40 bits: exact for |n| < 2^13
  static constexpr double kExpHigh = 710.0, kExpLow = -746.0;
  static constexpr double kExpm1Low = -40.0;
  static constexpr double kTiny = 0x1p-55;
  static constexpr double kTanhHigh = 20.0;
  static constexpr double kTailHigh = 38.7;
  /// 2^-58
  static constexpr double kExp[] = {0.50000000000000111,    0.166666666666664048,    0.041666666666527373,     0.0083333333334977798,
                                    0.00138888889444688875, 0.000198412695013862214, 0.0000248014921363934171, 2.75575891584715162e-6,
                                    2.76306208599720846e-7, 2.49997792611842715e-8};
  /// 2^-61
  static constexpr double kExpm1[] = {0.5,
                                      0.166666666666666768,
                                      0.041666666666666699,
                                      0.0083333333333213723,
                                      0.00138888888888663163,
                                      0.000198412698868553303,
                                      2.48015873615531719e-05,
                                      2.75572434069582648e-06,
                                      2.75572419252411119e-07,
                                      2.51093383154574748e-08,
                                      2.09246981143818429e-09};
  /// 2^-59
  static constexpr double kLog[] = {0.666666666666673513, 0.399999999994111122, 0.285714287432592307, 0.222221984762314306,
                                    0.181835697322336232, 0.153139033166272837, 0.147975081564226535};
  /// 2^-59
  static constexpr double kLogWide[] = {0.666666666666662966,  0.400000000001587641, 0.285714285476497798, 0.222222239830983298,
                                        0.181817434322507354,  0.153865708401691975, 0.133008251555123747, 0.121072979276399317,
                                        0.0833465321861202868, 0.170289437990433085};
  /// 2^-57
  static constexpr double kErf[] = {0.12837916709551257,     -0.376126389031835207,    0.112837916709441849,    -0.0268661706431113749,
                                    0.00522397760611762515,  -0.000854832592927141986, 0.000120552935755695716, -1.49247122759070615e-05,
                                    1.64471312450101921e-06, -1.62063112415547425e-07, 1.37109694809885801e-08, -7.77944812904207377e-10};
  /// 0 <= a <= 38.8: 2^-59.
  static constexpr double kTailN[] = {0.5,
                                      0.82782338643768183,
                                      0.679452263130400524,
                                      0.357224955386100662,
                                      0.131987870708996424,
                                      0.0356481294888520081,
                                      0.00711811414439536029,
                                      0.0010388881837324448,
                                      0.00010647287115539128,
                                      6.96831874150641809e-6,
                                      2.23895371445677347e-7};
  static constexpr double kTailD[] = {1.0,
                                      2.45353133367822895,
                                      2.81653929684871551,
                                      2.00091898405097091,
                                      0.979753381313695604,
                                      0.34815882392804709,
                                      0.0919257821353463567,
                                      0.0181082316316468518,
                                      0.00262157348051471036,
                                      0.000267449131784660394,
                                      0.0000174669847841314507,
                                      5.61222468624614269e-7};
};
// clang-format on

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
