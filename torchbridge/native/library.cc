// Versions, devices, seed and threads.
#include "internal.h"

#include <stdexcept>

#include <malloc.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ATen/Version.h>
#include <torch/cuda.h>
#include <torch/version.h>

// Where OpenBLAS is not the BLAS, there is none.
extern "C" void openblas_set_num_threads(int) __attribute__((weak));

namespace tb {

c10::Device device_of(const char* name) {
  try {
    return c10::Device(std::string(name));
  } catch (const c10::Error&) {
    throw ArgumentError("no such device: " + std::string(name));
  }
}

void use_threads(int32_t n) {
  static std::atomic<int32_t> blas{0}; // libtorch tells MKL, but not OpenBLAS, which took as many as there are cores
  if (at::get_num_threads() != n) at::set_num_threads(n);
  if (openblas_set_num_threads != nullptr && blas.exchange(n) != n) openblas_set_num_threads(n);
}

void allow_tf32(bool on) {
  static std::atomic<int> now{-1};  // libtorch allows cuDNN but not cuBLAS
  if (now.exchange(on ? 1 : 0) == (on ? 1 : 0)) return;
  at::globalContext().setAllowTF32CuDNN(on);
  at::globalContext().setAllowTF32CuBLAS(on);
}

}  // namespace tb

using tb::guarded;

extern "C" {

uint32_t tb_abi_version(void) { return TB_ABI_VERSION; }
const char* tb_torch_version(void) { return TORCH_VERSION; }

tb_status* tb_devices(tb_strings** out) {
  return guarded(tb::kNoGrad, [&] {
    std::vector<std::string> names{"cpu"};
    // Asking for the count where there is no driver warns on stderr.
    if (torch::cuda::is_available())
      for (size_t i = 0; i < static_cast<size_t>(torch::cuda::device_count()); ++i)
        names.push_back("cuda:" + std::to_string(i));
    tb::give(out, std::move(names));
  });
}

tb_status* tb_build_config(tb_strings** out) {
  return guarded(tb::kNoGrad, [&] {
    tb::give(out, std::vector<std::string>{at::show_config(), at::get_parallel_info()});
  });
}

tb_status* tb_seed(uint64_t seed) {
  return guarded(tb::kNoGrad, [&] { at::manual_seed(seed); });
}

void tb_tune_allocator(void) {
#ifdef __GLIBC__
  mallopt(M_TRIM_THRESHOLD, -1);
  // The largest that glibc takes. Beyond it tensors still come and go by mmap:
  // keeping those too was a tenth faster at width 64, for a third more memory.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
#endif
}

tb_status* tb_threads(tb_mode mode, int32_t* out) {
  return guarded(mode, [&] { *out = at::get_num_threads(); });
}

int64_t tb_thread_id(void) { return static_cast<int64_t>(syscall(SYS_gettid)); }

tb_status* tb_fail(int32_t kind) {
  return guarded(tb::kNoGrad, [&] {
    switch (kind) {
      case 0: TORCH_CHECK(false, "a failure made on purpose\nwith a second line");
      case 1: throw std::bad_alloc();
      case 2: throw std::runtime_error("a std::runtime_error made on purpose");
      case 3: throw 42;
      case 4: at::empty({int64_t{1} << 60}, at::kByte); break;
      default: throw tb::ArgumentError("no such kind of failure");
    }
  });
}

}  // extern "C"
