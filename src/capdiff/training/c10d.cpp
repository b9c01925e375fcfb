#include "capdiff/training/c10d.h"

#include <fmt/format.h>

#include "capdiff/base/error.h"

#if defined(CAPDIFF_HAVE_GLOO) && defined(USE_C10D_GLOO)
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#if defined(USE_C10D_NCCL) && __has_include(<nccl.h>) && __has_include(<cuda_runtime_api.h>)
#define CAPDIFF_HAVE_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

#include <cstdlib>

namespace capdiff {
namespace {

c10::intrusive_ptr<c10d::Store> open_store(const RankEnvironment& environment, bool keeper,
                                           std::chrono::seconds timeout) {
  c10d::TCPStoreOptions options;
  options.port = environment.port;
  options.isServer = keeper && !environment.hosted;
  options.waitWorkers = false;
  options.timeout = timeout;
  // A launcher's store remembers what processes of an earlier attempt have counted.
  return c10::make_intrusive<c10d::PrefixStore>(fmt::format("capdiff/{}", environment.attempt),
                                                c10::make_intrusive<c10d::TCPStore>(environment.master, options));
}

/// The network that Gloo uses: $GLOO_SOCKET_IFNAME as in PyTorch, else the loopback where all ranks share this machine,
/// else that of this host's name.
std::shared_ptr<::gloo::transport::Device> network(const RankEnvironment& environment) {
  if (const char* name = std::getenv("GLOO_SOCKET_IFNAME"); name && *name) {
    return c10d::ProcessGroupGloo::createDeviceForInterface(name);
  }
  if (environment.master == "127.0.0.1" || environment.master == "localhost") {
    return c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1");
  }
  return c10d::ProcessGroupGloo::createDefaultDevice();
}

}  // namespace

struct SharedCounters::Store {
  c10::intrusive_ptr<c10d::Store> store;
};

SharedCounters::SharedCounters(const RankEnvironment& environment, bool keeper, std::chrono::seconds timeout)
    : store_(new Store{open_store(environment, keeper, timeout)}) {}

std::int64_t SharedCounters::add(const std::string& name, std::int64_t amount) {
  return store_->store->add(name, amount);
}

void SharedCounters::remove(const std::string& name) {
  store_->store->deleteKey(name);
}

struct Collectives::Groups {
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
#ifdef CAPDIFF_HAVE_NCCL
  c10::intrusive_ptr<c10d::ProcessGroupNCCL> nccl;
#endif
  torch::Device device = torch::kCPU;

  void reduce(const torch::Tensor& tensor, c10d::ReduceOp operation) {
    std::vector<torch::Tensor> tensors{tensor};
    c10d::AllreduceOptions options;
    options.reduceOp = operation;
#ifdef CAPDIFF_HAVE_NCCL
    if (tensor.is_cuda()) {
      nccl->allreduce(tensors, options)->wait();
      return;
    }
#endif
    gloo->allreduce(tensors, options)->wait();
  }
};

Collectives::Collectives(const SharedCounters& counters, const RankEnvironment& environment, torch::Device device,
                         std::chrono::seconds timeout)
    : groups_(new Groups) {
  const auto& store = counters.store_->store;
  const auto options = c10d::ProcessGroupGloo::Options::create(timeout);
  options->devices.push_back(network(environment));
  options->threads = 2;
  groups_->gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(c10::make_intrusive<c10d::PrefixStore>("gloo", store),
                                                              environment.rank, environment.size, options);
#ifdef CAPDIFF_HAVE_NCCL
  if (device.is_cuda()) {
    const auto nccl_options = c10d::ProcessGroupNCCL::Options::create();
    nccl_options->timeout = timeout;
    groups_->nccl = c10::make_intrusive<c10d::ProcessGroupNCCL>(c10::make_intrusive<c10d::PrefixStore>("nccl", store),
                                                                environment.rank, environment.size, nccl_options);
    groups_->device = device;
  }
#else
  static_cast<void>(device);
#endif
}

torch::Device Collectives::device() const {
  return groups_->device;
}

void Collectives::sum(torch::Tensor tensor) {
  groups_->reduce(tensor, c10d::ReduceOp::SUM);
}

void Collectives::max(torch::Tensor tensor) {
  groups_->reduce(tensor, c10d::ReduceOp::MAX);
}

#else

namespace capdiff {
namespace {

[[noreturn]] void fail_without_gloo() {
  fail(ErrorCode::unsupported,
       "this capdiff-train was built without Gloo, which several processes talk through: install libgloo-dev and build "
       "again");
}

}  // namespace

struct SharedCounters::Store {};
struct Collectives::Groups {};

SharedCounters::SharedCounters(const RankEnvironment&, bool, std::chrono::seconds) {
  fail_without_gloo();
}
std::int64_t SharedCounters::add(const std::string&, std::int64_t) {
  fail_without_gloo();
}
void SharedCounters::remove(const std::string&) {}
Collectives::Collectives(const SharedCounters&, const RankEnvironment&, torch::Device, std::chrono::seconds) {
  fail_without_gloo();
}
torch::Device Collectives::device() const {
  return torch::kCPU;
}
void Collectives::sum(torch::Tensor) {}
void Collectives::max(torch::Tensor) {}

#endif

SharedCounters::~SharedCounters() = default;
Collectives::~Collectives() = default;

}  // namespace capdiff
