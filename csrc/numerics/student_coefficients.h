// Coefficients of Student's t: our own Chebyshev fits, made with mpmath at 45 digits. Read only by numerics/student.h. No formula
// lives here.
#pragma once

namespace genfast {
namespace numerics {

// omega(a) = Gamma(a + 1) / (Gamma(a + 1/2) sqrt(a)) in 1/a, a >= 1
GENFAST_CONSTANT double kHalfRatio[] = {
    0x1.0000000000000p+0,  0x1.ffffffffff871p-4,  0x1.0000000276a7dp-7,   -0x1.4000014861f05p-8, -0x1.4ffe93ce5efe8p-11,
    0x1.8ef0763ce109fp-10, 0x1.b99d6819af0ebp-13, -0x1.3c76d3987a63dp-10, 0x1.db183cb716f9fp-14, 0x1.0c4791d74f860p-13,
    0x1.c6cf26bd681f7p-8,  -0x1.a8dc2fcc32b7ap-6, 0x1.b16906d81413cp-5,   -0x1.3249e7f177cc9p-4, 0x1.418425c7309bap-4,
    -0x1.ff12332b065ebp-5, 0x1.31a0f49bef021p-5,  -0x1.0b9f19638d238p-6,  0x1.449a9e59814e8p-8,  -0x1.e7f1a19a54369p-11,
    0x1.5696acdbb006dp-14};
// the same, a >= 6
GENFAST_CONSTANT double kHalfRatioLarge[] = {0x1.0000000000000p+0,  0x1.0000000000010p-3,   0x1.ffffffffdb797p-8,
                                             -0x1.3ffffff00f282p-8, -0x1.50001ccedd852p-11, 0x1.8f01ec4a3f815p-10,
                                             0x1.b13243010ab80p-13, -0x1.30e60366a7b43p-10, -0x1.f7cb540f3b1dfp-13,
                                             0x1.200e2a0e7589ep-9,  -0x1.d69111bb9c44dp-10};
// sqrt(a) omega(a) in a, 0 <= a <= 1
GENFAST_CONSTANT double kHalfRatioSmall[] = {
    0x1.20dd750429b6dp-1,   0x1.9073b723093c8p-1,  -0x1.8b2f01162f31bp-2, 0x1.48069d939dd7fp-2,  -0x1.31b56d9a886f2p-2,
    0x1.289c2e12cf2d2p-2,   -0x1.248ca6379801ap-2, 0x1.22a4de44627bdp-2,  -0x1.21ada528d3b76p-2, 0x1.20ededafbf6dbp-2,
    -0x1.1f67e87ee3780p-2,  0x1.1aece26ba5795p-2,  -0x1.0f49e0a21ecc5p-2, 0x1.edbb932a0b91dp-3,  -0x1.9be2777a6fbf8p-3,
    0x1.2ee6420d51108p-3,   -0x1.78eeaa14da2f9p-4, 0x1.7be5edf95110ep-5,  -0x1.268bf6be6858ep-6, 0x1.4730c26de0d02p-8,
    -0x1.cd10e9a02c464p-11, 0x1.347acc73ba95ep-14};
// w^(2j) / a^0
GENFAST_CONSTANT double kStudent0[] = {
    0x1.0000000000002p-2,   0x1.555555555526ep-7,   -0x1.5555555541d39p-9,  -0x1.999999c8a3ad3p-14, 0x1.b05b0894586f2p-15,
    0x1.56692daacfcdcp-20,  -0x1.29f90bef2b1b7p-20, -0x1.53e9555cada88p-26, 0x1.ad4997c608b3bp-26,  0x1.ad080efa49ce4p-33,
    -0x1.01a08c024e34fp-31, -0x1.f22f484e8b8c5p-35, 0x1.0ffc2a53bf59cp-35,  -0x1.14915b254a045p-38, 0x1.9431ea45e8887p-43};
// w^(2j) / a^1
GENFAST_CONSTANT double kStudent1[] = {
    0x1.fffffffff2d88p-7,   -0x1.aaaaaaaa605e1p-8,  -0x1.666665b33219fp-12, 0x1.e6665f61f7beap-13, 0x1.d6d3e2cb8f3e6p-18,
    -0x1.e43973ca270e5p-18, -0x1.3e1c664688e75p-23, 0x1.c7c5d4a8e4722p-23,  0x1.0708ee029dc76p-29, -0x1.529b680948d46p-28,
    -0x1.6906526fa168dp-31, 0x1.ac3ec0b118fb5p-32,  -0x1.d84a0efc7320ep-35, 0x1.75ad3823b2657p-39};
// w^(2j) / a^2
GENFAST_CONSTANT double kStudent2[] = {
    -0x1.3ffffff72615dp-7,  -0x1.c00002df924dcp-11, 0x1.a99980a52b82ap-11, 0x1.08dfb1405420ep-15,  -0x1.4cfbb0c568775p-15,
    -0x1.fe9a213bafa90p-21, 0x1.a8d6c9f7d03d4p-20,  0x1.6a5570a4269e6p-26, -0x1.a23b076ada103p-25, -0x1.b49bae27df146p-28,
    0x1.2c91d803d8ac2p-28,  -0x1.6aa8666cb6129p-31, 0x1.36b487c3833d9p-35};
// w^(2j) / a^3
GENFAST_CONSTANT double kStudent3[] = {-0x1.500013d957d7dp-10, 0x1.0a0036028eec3p-9,   0x1.cf8c140a60220p-14,
                                       -0x1.76c823a6c9eeap-13, -0x1.517ce0ca8ec55p-18, 0x1.516c990172898p-17,
                                       0x1.49a34f455f397p-22,  -0x1.fa3008a694210p-22, -0x1.8b73403c55e4dp-25,
                                       0x1.7458580f08d91p-25,  -0x1.f22e229db69a3p-28, 0x1.d04a28da42f79p-32};
// w^(2j) / a^4
GENFAST_CONSTANT double kStudent4[] = {0x1.8f018202ed771p-9,   0x1.216fbc08765b4p-12, -0x1.47d80b7fe5a43p-11,
                                       -0x1.6f02065674791p-16, 0x1.be4609af2e662p-15, 0x1.24c17d3945259p-18,
                                       -0x1.4ad4c1c313ab4p-18, 0x1.c34266f9c0c7cp-25, 0x1.6d74643327d2dp-22,
                                       -0x1.2fcfadd5cd334p-24, 0x1.3692415e5811ep-28};
// w^(2j) / a^5
GENFAST_CONSTANT double kStudent5[] = {
    0x1.b162ad8fa2907p-12,  -0x1.987d0f18bf718p-10, -0x1.536136dfe593fp-14, 0x1.f2674e2e3d12dp-13,  0x1.1d84ad90ca98bp-15,
    -0x1.701c527e54e65p-15, 0x1.dfd277b900095p-18,  0x1.f112e8545689ap-21,  -0x1.c995166b06e6ap-22, 0x1.71c376f6cf460p-25};
// w^(2j) / a^6
GENFAST_CONSTANT double kStudent6[] = {-0x1.311ca38da01b2p-9,  -0x1.12388fae76fd2p-12, 0x1.cb8dacbd8649ap-11, 0x1.24fb448fe5154p-13,
                                       -0x1.0bbddec5535f9p-12, 0x1.208cb181f9ed6p-14,  -0x1.9090247d026f7p-18};
// w^(2j) / a^7
GENFAST_CONSTANT double kStudent7[] = {-0x1.ee862e29304eep-12, 0x1.5a78abf722e6ap-9,  0x1.d984a2a979807p-13,
                                       -0x1.1883b34633266p-10, 0x1.754815cbebf3ep-12, -0x1.31772d7f602d3p-15};
// w^(2j) / a^8
GENFAST_CONSTANT double kStudent8[] = {0x1.1e531720cdcb1p-8, -0x1.a4f4b0672ffdep-10, -0x1.679b693ce6a40p-9, 0x1.85919ab04667bp-10,
                                       -0x1.83ac51d38eadep-13};
// w^(2j) / a^9
GENFAST_CONSTANT double kStudent9[] = {-0x1.d233c9de1e2d2p-9, -0x1.e64ffe3dc1951p-11, 0x1.6e695e31f8340p-9, -0x1.8cef8e5264d96p-11};
// nu log(w^2 nu / z^2): (z^2 / nu)^i / nu^0
GENFAST_CONSTANT double kStudentStart0[] = {0x1.fffd0d4b0f959p-2,  -0x1.554d6d82ff686p-5, 0x1.15439855a437dp-19,
                                            0x1.69f6401c8b344p-12, 0x1.fb2309daec0b7p-20, -0x1.d00d0fad66f35p-18,
                                            0x1.324eb8df11aa3p-21};
// nu log(w^2 nu / z^2): (z^2 / nu)^i / nu^1
GENFAST_CONSTANT double kStudentStart1[] = {0x1.d37b1142a972dp-11, -0x1.5758347b4ddecp-5,  0x1.3f61607e1c8ecp-8,
                                            0x1.996bb1b60ff6dp-11, -0x1.521d0802d5f0fp-13, -0x1.a838bf42eecfdp-18,
                                            0x1.2997483139354p-19};
// nu log(w^2 nu / z^2): (z^2 / nu)^i / nu^2
GENFAST_CONSTANT double kStudentStart2[] = {-0x1.85179afbacef0p-4,  -0x1.a040060c5a58ap-12, 0x1.8c2c18429de82p-7,
                                            -0x1.146d30611be17p-10, -0x1.6fa5d6c3ac512p-11, 0x1.7acfcff2d063dp-13,
                                            -0x1.c42543fdd09afp-17};
// nu log(w^2 nu / z^2): (z^2 / nu)^i / nu^3
GENFAST_CONSTANT double kStudentStart3[] = {0x1.c82cba8141aefp-5,  0x1.1b59dd883a1f4p-5,  -0x1.56209135a83aep-7,
                                            -0x1.a1b5822f48df5p-9, 0x1.a665b665a981dp-10, -0x1.ccd3d79666c0dp-13,
                                            0x1.21d5f3612bf0fp-17};
// nu log(w^2 nu / z^2): (z^2 / nu)^i / nu^4
GENFAST_CONSTANT double kStudentStart4[] = {-0x1.9ee247a8ea14ap-8, -0x1.08e78354399edp-5,  0x1.307df518ee9c2p-8,
                                            0x1.8e8bb53eb1f85p-9,  -0x1.e8b9314ecb7c7p-11, 0x1.e1203171cd40fp-15,
                                            0x1.1a63d19e08c97p-18};
// nu log(w^2 nu / z^2): (z^2 / nu)^i / nu^5
GENFAST_CONSTANT double kStudentStart5[] = {-0x1.e06d9dfcf456bp-9,  0x1.4ddf0f23b6149p-7,  -0x1.abe9587af6f0ap-11,
                                            -0x1.00957f496aa78p-10, 0x1.d97ebbdda0495p-13, -0x1.7757715674a0ep-22,
                                            -0x1.738a28df97339p-19};

}  // namespace numerics
}  // namespace genfast
