#include "capdiff/data/picture_queue.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <set>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

using namespace std::chrono_literals;

/// A picture that says which one it is.
Image numbered(std::size_t number) {
  return {1, 1, {static_cast<std::uint8_t>(number), static_cast<std::uint8_t>(number >> 8), 0}};
}

TEST(PictureQueue, KeepsTheOrderWhateverEachTakes) {
  PictureQueue queue(50, 8, {.waiting = 4}, [](std::size_t i) {
    std::this_thread::sleep_for(std::chrono::microseconds(i % 7 * 300));
    return numbered(i);
  });
  std::size_t next = 0;
  std::vector<std::size_t> sizes;
  for (auto batch = queue.next_batch(); !batch.empty(); batch = queue.next_batch()) {
    sizes.push_back(batch.size());
    for (const QueuedPicture& picture : batch) {
      EXPECT_EQ(picture.number, next);
      EXPECT_EQ(picture.image, numbered(next++));
    }
  }
  EXPECT_EQ(sizes, (std::vector<std::size_t>{8, 8, 8, 8, 8, 8, 2}));
}

TEST(PictureQueue, BatchesAreOfReadablePictures) {
  PictureQueue queue(10, 4, {.waiting = 3}, [](std::size_t i) {
    if (i == 1 || i == 2) fail(ErrorCode::invalid_input, "picture {} is broken", i);
    return numbered(i);
  });
  const std::vector<QueuedPicture> first = queue.next_batch(), second = queue.next_batch();
  ASSERT_EQ(first.size(), 6u);
  EXPECT_EQ(first[1].error, "picture 1 is broken");
  EXPECT_FALSE(first[2].readable());
  EXPECT_TRUE(first[3].readable());
  EXPECT_EQ(first[3].image, numbered(3));
  ASSERT_EQ(second.size(), 4u);
  EXPECT_EQ(second[0].number, 6u);
  EXPECT_TRUE(queue.next_batch().empty());
}

TEST(PictureQueue, KeepsToItsThreads) {
  std::atomic<int> busy = 0, most = 0, begun = 0;
  PictureQueue queue(40, 4, {.waiting = 2, .computing = 0}, [&](std::size_t i) {
    most = std::max(most.load(), ++busy);
    ++begun;
    std::this_thread::sleep_for(500us);
    --busy;
    return numbered(i);
  });
  std::this_thread::sleep_for(5ms);
  EXPECT_EQ(begun, 0);  // nobody waits
  for (auto batch = queue.next_batch(); !batch.empty(); batch = queue.next_batch()) {
    const int at_return = begun;
    std::this_thread::sleep_for(3ms);
    EXPECT_LE(begun - at_return, 2);  // those that had been taken up
  }
  EXPECT_EQ(begun, 40);
  EXPECT_LE(most, 2);
}

TEST(PictureQueue, ReadsAheadWhereThreadsAreFree) {
  std::atomic<std::size_t> begun = 0;
  PictureQueue queue(100, 4, {.waiting = 2, .computing = 2}, [&](std::size_t i) {
    ++begun;
    return numbered(i);
  });
  EXPECT_EQ(queue.next_batch().size(), 4u);
  for (int i = 0; i < 2000 && begun < 12; ++i) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(begun, 12u);  // the batch that was taken, the next one, and as many again
}

TEST(PictureQueue, CanBeLeftEarlyAndMayBeEmpty) {
  PictureQueue queue(100, 4, {.waiting = 2, .computing = 2}, numbered);
  EXPECT_EQ(queue.next_batch().size(), 4u);
  PictureQueue nothing(0, 4, {}, numbered);
  EXPECT_TRUE(nothing.next_batch().empty());
}

#ifndef __SANITIZE_ADDRESS__  // which takes address space by the terabyte
TEST(PictureQueueDeathTest, MakesDoWithTheThreadsThatTheSystemGives) {
  const auto caption_with_little_room = [] {
    struct rlimit limit {};
    ::getrlimit(RLIMIT_AS, &limit);
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    limit.rlim_cur = pages * static_cast<std::size_t>(::getpagesize()) + (std::size_t{100} << 20);
    ::setrlimit(RLIMIT_AS, &limit);
    PictureQueue queue(2000, 4, {.waiting = 1000}, numbered);
    std::size_t pictures = 0;
    for (auto batch = queue.next_batch(); !batch.empty(); batch = queue.next_batch()) pictures += batch.size();
    std::_Exit(pictures == 2000 ? 0 : 3);
  };
  EXPECT_EXIT(caption_with_little_room(), testing::ExitedWithCode(0), "");
}
#endif

}  // namespace
}  // namespace capdiff
