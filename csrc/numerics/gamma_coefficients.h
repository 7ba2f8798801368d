// Coefficients of the gamma family: our own Chebyshev fits, made with mpmath at 40 digits. Read only by numerics/gamma.h.
// No formula lives here.
#pragma once

namespace genfast {
namespace numerics {

// (log(1+f) - 2s) / s^3 in z = s^2, s = f / (2 + f), for f in [-1/2, 1]
GENFAST_CONSTANT double kLog1pTail[] = {0x1.5555555555555p-1, 0x1.9999999999942p-2, 0x1.2492492499f9ep-2, 0x1.c71c71bebccc1p-3,
                                        0x1.745d199b3ecfdp-3, 0x1.3b135059ca800p-3, 0x1.111ad2be5194dp-3, 0x1.e0a0c19cf2f4dp-4,
                                        0x1.bc47dd8978c69p-4, 0x1.329d3c6be507fp-4, 0x1.405a2d268c2bdp-3};
// 1 / Gamma*(a) in 1/a, a >= 1
GENFAST_CONSTANT double kRecipGammaStar[] = {
    0x1.0000000000000p+0,   -0x1.5555555555299p-4, 0x1.c71c71c35fa58p-9,  0x1.5f7269f159e62p-9,   -0x1.e13f3a6ef0e6cp-13,
    -0x1.9b02c3768e1e7p-11, 0x1.1e39e5bf2ca92p-14, 0x1.3ecb978f1bb9ep-11, -0x1.71a50fc00678ep-13, -0x1.c04ce9581518ep-14,
    -0x1.a2e1b6626c07ap-9,  0x1.a780bfa506cddp-7,  -0x1.c1d96dd82a304p-6, 0x1.46d93dc0b6ca9p-5,   -0x1.5ea14570193e1p-5,
    0x1.1bd2c4a2dc2a3p-5,   -0x1.58fca41020f08p-6, 0x1.328ab220881fbp-7,  -0x1.78dfd992b24f9p-9,  0x1.1edc6c0320738p-11,
    -0x1.97a3082a1cf2bp-15};
// Gamma*(a) in 1/a, a >= 12
GENFAST_CONSTANT double kGammaStarLarge[] = {0x1.0000000000000p+0,  0x1.5555555555c3cp-4,   0x1.c71c71b9d5718p-9,
                                             -0x1.5f72641b671d2p-9, -0x1.e14a7086434b5p-13, 0x1.9b603f92f942bp-11,
                                             0x1.05b64e148116bp-14, -0x1.23392f2ea88a6p-11};
// 1 / Gamma(1 + a), 0 <= a <= 1
GENFAST_CONSTANT double kRecipGamma1p[] = {
    0x1.0000000000000p+0,   0x1.2788cfc6fb617p-1,   -0x1.4fcf4026af9a5p-1,  -0x1.5815e8fa38b10p-5,
    0x1.5512320b903c5p-3,   -0x1.59af104892c4bp-5,  -0x1.3b4af135a4f5bp-7,  0x1.d919b90af02f0p-8,
    -0x1.317074ff81d36p-10, -0x1.c3706a93b9d85p-13, 0x1.0c9d247311104p-13,  -0x1.52741aaccce58p-16,
    -0x1.48e0e8c3ef6c6p-20, 0x1.2f37fbe53dce9p-20,  -0x1.d01eaa605a6f0p-23, 0x1.20d9fdfbd2eb4p-26};
// log Gamma(1 + a) / a, 0 <= a <= 1/2
GENFAST_CONSTANT double kLogGamma1p[] = {-0x1.2788cfc6fb619p-1, 0x1.a51a662530746p-1, -0x1.9a4d55be9f435p-2, 0x1.151322a94e425p-2,
                                         -0x1.a8b9c0951969dp-3, 0x1.5b40b7727ad00p-3, -0x1.270286d0a71d3p-3, 0x1.01001e23edfdap-3,
                                         -0x1.c7660a045dc7ap-4, 0x1.96ab3f9d38c0dp-4, -0x1.673c5a5462160p-4, 0x1.2d5102f3b086ep-4,
                                         -0x1.be88d22bcc502p-5, 0x1.06cc8f60e5926p-5, -0x1.a3d8b425c94aep-7, 0x1.4b5047dbde901p-9};
// (1 + 2x) exp(x^2) erfc(x) in t = (x - 3) / (x + 3), x >= 0 (form of Shepherd & Laframboise 1981)
GENFAST_CONSTANT double kErfcx[] = {
    0x1.40c522d7e4987p+0,   -0x1.15c084bb9e8f2p-3,  -0x1.85a15c58aa4f5p-5,  0x1.098366a5b4640p-3,   -0x1.e88b803a4a881p-4,
    0x1.17ca2877f2e0ap-4,   -0x1.8574c40b69c6ap-6,  0x1.4b884e411d2b0p-9,   0x1.ef1bdd0e61218p-10,  -0x1.98db50c1995dap-11,
    -0x1.b912639d3c363p-14, 0x1.065a32b51fa50p-13,  0x1.4c228d0f252afp-18,  -0x1.513b2bf2e7a13p-16, -0x1.885c4173e8118p-21,
    0x1.d20dc1d6f2168p-19,  0x1.7dfecd6d595a4p-22,  -0x1.4b09042715313p-21, -0x1.2dabcbdb3b408p-23, 0x1.b56217b9146ccp-24,
    0x1.60bcb894e79d1p-25,  -0x1.c96dae03284b5p-27, -0x1.1a5abb05ab718p-27, 0x1.0f1968e597de2p-30,  0x1.cd7350f20ad1ap-31};
// eta^j / a^0
GENFAST_CONSTANT double kTemme0[] = {-0x1.5555555555556p-2,  0x1.55555555555a5p-4,   -0x1.e573ac901e3e2p-7,  0x1.2f684bd9ef82cp-10,
                                     0x1.71de3a5554c53p-12,  -0x1.76e06fe17dffdp-13, 0x1.48c58931ae80ap-15,  -0x1.25537e5eeb676p-19,
                                     -0x1.f1b22f3f2a57ap-20, 0x1.bd6dca2868f44p-21,  -0x1.7b5fb06029043p-23, 0x1.cc5756e1d59f0p-28,
                                     0x1.609be29c095f2p-27,  -0x1.2c6207d466290p-28, 0x1.f6830c6e7a98cp-31,  -0x1.2abb12e23c331p-35,
                                     -0x1.fb0cf52a7e285p-35, 0x1.f45cc51863ac7p-36,  -0x1.7d724f4e02ec4p-38, -0x1.1e5f2002039a8p-40,
                                     0x1.0e5e0bdb216d3p-41};
// eta^j / a^1
GENFAST_CONSTANT double kTemme1[] = {
    -0x1.e573ac901cb19p-6,  0x1.c71c71c6a11ddp-9,   0x1.71de3a53b5d13p-10,  -0x1.d4988bc2e6bbep-11, 0x1.ed284e00f5270p-13,
    -0x1.00a91a9b9ffc1p-16, -0x1.f1b238eac207fp-17, 0x1.f51bbf982b28ep-18,  -0x1.da370a3464824p-20, 0x1.3c8ce44ac9344p-24,
    0x1.086f900a21b3dp-23,  -0x1.e8ab171ac7254p-25, 0x1.b7f0993d54a81p-27,  -0x1.dad01be623d8fp-32, -0x1.fcbee051d11b5p-31,
    0x1.df765f8bac1ffp-32,  -0x1.a9d4b19943492p-34, -0x1.410c863e9b1bfp-38, 0x1.4f3a437bd3251p-37,  -0x1.066efbe84084cp-39};
// eta^j / a^2
GENFAST_CONSTANT double kTemme2[] = {0x1.71de3a4d1bf29p-9,   -0x1.5f7268d8b681ep-9,  0x1.ed284fc6dd9dbp-11,  -0x1.40d3884172130p-14,
                                     -0x1.7545cc9a80c7fp-14, 0x1.b679d1226128dp-15,  -0x1.da358f989c4c2p-17, 0x1.6340ec597f3aep-21,
                                     0x1.4a7d573d581a0p-20,  -0x1.4ee421ae3c674p-21, 0x1.4a5049788e351p-23,  -0x1.e16e165f8c90dp-28,
                                     -0x1.bfe50a44a8c6dp-27, 0x1.e5b2ec0c2b90fp-28,  -0x1.a41ee0fbc0c0dp-30, -0x1.70b9ed990ece3p-33,
                                     0x1.7420162e6d03ep-33,  -0x1.1ba1def2bda3cp-35};
// eta^j / a^3
GENFAST_CONSTANT double kTemme3[] = {0x1.ed2851b731fa1p-10,  -0x1.e13cbcde5c530p-13, -0x1.7546afa178697p-12, 0x1.120c7f3fb90e0p-12,
                                     -0x1.63a175e666d7ep-14, 0x1.36452013a4542p-18,  0x1.4a564d6c32898p-17,  -0x1.77abda4a1cb75p-18,
                                     0x1.9da094671f283p-20,  -0x1.95140a1074178p-24, -0x1.531c180125fcep-23, 0x1.b957aa048d713p-24,
                                     -0x1.684f69bac18b2p-26, -0x1.af2b1e6aa01f2p-28, 0x1.6d3e686a23007p-29};
// eta^j / a^4
GENFAST_CONSTANT double kTemme4[] = {-0x1.75467be80503cp-11, 0x1.9b0b793090b72p-11,  -0x1.63853e3cd061dp-12, 0x1.8433baa50c37ap-16,
                                     0x1.edefac28a6545p-15,  -0x1.4855fb24da5e3p-15, 0x1.a0b20cca4b576p-17,  -0x1.df49cc299b0c6p-21,
                                     -0x1.ad7f09691e2f5p-20, 0x1.3497e65a125f8p-20,  -0x1.06eb26bffa7c7p-22, -0x1.6bfc0305b343cp-24,
                                     0x1.37f99cf86d90ep-25};
// eta^j / a^5
GENFAST_CONSTANT double kTemme5[] = {-0x1.639e8f39ccdddp-11, 0x1.2907e077771f3p-14,  0x1.ea64a0193700ap-13,  -0x1.9c4280f6db2acp-13,
                                     0x1.45961b33a6237p-14,  -0x1.b34f4370e2e5dp-18, -0x1.d7f04459bf4a4p-17, 0x1.5ff6e582b06c1p-17,
                                     -0x1.3d1551aa3c09fp-19, -0x1.01f766b1cd813p-20, 0x1.c6373a5d1555cp-22};
// eta^j / a^6
GENFAST_CONSTANT double kTemme6[] = {0x1.ef2571b926466p-12,  -0x1.3fa4c98dc7b2bp-11, 0x1.526435236fb30p-12,
                                     -0x1.3a99850f4c547p-16, -0x1.d1316699d765cp-14, 0x1.36e51bada0120p-14,
                                     -0x1.2bf99ea80350bp-17, -0x1.28d4cca2cb049p-17, 0x1.11d9fc878269ep-18};
// eta^j / a^7
GENFAST_CONSTANT double kTemme7[] = {0x1.3a802d5d9e8e2p-11, 0x1.7df1a3cdb03d9p-14, -0x1.e212de648a4afp-12,
                                     0x1.17cb889c4e671p-12, 0x1.2ff312fd3a1bbp-15, -0x1.075944ca1f54cp-14};
// eta^j / a^8
GENFAST_CONSTANT double kTemme8[] = {-0x1.89833d2cedf29p-11, 0x1.77993daf2f7f9p-12};
// z - t in 1 / (t + 3), t = sqrt(-2 log p): a 1e-6 upper normal quantile for starting values
GENFAST_CONSTANT double kNormalScore[] = {-0x1.d0fd314005500p-8,  -0x1.5907b3e1512bap+2,  0x1.7ad97d8613c7cp+5,
                                          -0x1.c55567d927bf9p+9,  0x1.8d343cc96c7b3p+13,  -0x1.049189aa07181p+17,
                                          0x1.ee09eb940051cp+19,  -0x1.4d3ad20f49159p+22, 0x1.36d20e3ba66a3p+24,
                                          -0x1.7cc72ba587f5ap+25, 0x1.13822e8729529p+26,  -0x1.65898764a6af1p+25};
// log(lambda) / eta with lambda - 1 - log(lambda) = eta^2 / 2, for starting values
GENFAST_CONSTANT double kLogLambda[] = {0x1.fffffbb861129p-1,  -0x1.5552d4d9d67ebp-3, 0x1.c71ddaf444b19p-6,   -0x1.e6f72cf440b6fp-9,
                                        0x1.e8333ad8e92e5p-13, 0x1.1675233235508p-14, -0x1.ca8122c29f9d7p-16, 0x1.a1de3d2b08edfp-19,
                                        0x1.bd45bfb896973p-22, -0x1.9f2f54da24b5ep-24};
// first correction of the same, eta^i / a^0
GENFAST_CONSTANT double kLogLambdaShift0[] = {
    -0x1.5554d5b089afbp-2,  0x1.1c62451ff54d4p-3,  -0x1.2a682d0f961f7p-5,  0x1.8bb4ae5ffb8b8p-8,   -0x1.d16bae4ca507cp-14,
    -0x1.735dbc8bccc64p-12, 0x1.f921b7897b644p-14, -0x1.d8acdd9541480p-18, -0x1.2b99fbfe4bd00p-18, 0x1.8a9f567122000p-21};
// first correction of the same, eta^i / a^1
GENFAST_CONSTANT double kLogLambdaShift1[] = {
    -0x1.25676de1a9ed4p-5,  0x1.fa2be2949f9cep-7,  -0x1.0c16b15100af1p-9, -0x1.0cfe398e8f523p-10, 0x1.810034565d998p-11,
    -0x1.b5e5a48a64880p-13, 0x1.9911c8d0c3000p-18, 0x1.f59ad14646800p-17, -0x1.1a33559252000p-18, 0x1.8e737f0360000p-22};
// first correction of the same, eta^i / a^2
GENFAST_CONSTANT double kLogLambdaShift2[] = {
    0x1.908f1173db022p-10, -0x1.8e1597b75a778p-9,  0x1.2546bf34fe086p-9,  -0x1.eed3b612fb640p-11, 0x1.1f8ada0e7e040p-13,
    0x1.df9fb093bd023p-14, -0x1.0b598f6ac6100p-14, 0x1.27023c7da4000p-18, 0x1.c97b12f060000p-19,  -0x1.3ed3447e38000p-21};
// first correction of the same, eta^i / a^3
GENFAST_CONSTANT double kLogLambdaShift3[] = {
    0x1.f9333d9983d40p-10, -0x1.56599170784a0p-11, -0x1.8d074c5412200p-12, 0x1.13be0c6b98e2dp-11,  -0x1.042a8c287f1c0p-12,
    0x1.dc9a467826a00p-17, 0x1.eecc36dfe5600p-16,  -0x1.0fb416b40f800p-17, -0x1.13c07172c0000p-23, 0x1.7021f7dac0000p-23};
// first correction of the same, eta^i / a^4
GENFAST_CONSTANT double kLogLambdaShift4[] = {
    -0x1.04700fa945fd2p-10, 0x1.40507f4307b72p-11,  -0x1.1301d97a2fc80p-14, -0x1.2c8f205cac540p-13, 0x1.bb320b1c59580p-14,
    -0x1.8108ad3a75147p-16, -0x1.981a4003ab800p-18, 0x1.e7a177a468000p-19,  -0x1.fa8c52c6c0000p-22, 0x1.c9fe530000000p-29};
// first correction of the same, eta^i / a^5
GENFAST_CONSTANT double kLogLambdaShift5[] = {
    0x1.6edad4c244a40p-13, -0x1.102f10450fae0p-13, 0x1.009e13537f600p-15,  0x1.2549a03095a00p-16, -0x1.2e1234297b000p-16,
    0x1.66b41a3474800p-18, 0x1.01efccb1a6000p-21,  -0x1.5413858ad0000p-21, 0x1.0e05d99370000p-23, -0x1.efa4834c00000p-28};

}  // namespace numerics
}  // namespace genfast
