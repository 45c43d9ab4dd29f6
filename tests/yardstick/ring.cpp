// ring.cpp - the ring of `velox-tui bench --only ring` in C++: items of 64 bytes from one pinned thread to another.
//
//   ring BATCH COUNT CORE CORE      two threads; who finds it full or empty pauses 1, 2, 4 ... 64 times
//
// Each side works on a private cursor and a private copy of the other's, and publishes once a batch. The producer
// writes all eight words of an item, the consumer adds them all up and checks the order. Prints "METRIC items_per_s N";
// exit code 1 where an item is missing, torn or out of order.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>

#include <sched.h>
#if defined(__x86_64__)
#include <immintrin.h>
static void pause_once() { _mm_pause(); }
#else
static void pause_once() { asm volatile("yield"); }
#endif

constexpr int64_t kCapacity = 4096, kWords = 8;

struct Ring {
  alignas(128) std::atomic<int64_t> published{0};
  alignas(128) std::atomic<int64_t> released{0};
  alignas(128) int64_t produced = 0, released_seen = 0;
  alignas(128) int64_t consumed = 0, published_seen = 0;
  alignas(128) int64_t slots[kCapacity][kWords];

  int64_t room(int64_t wanted) {
    if (kCapacity - (produced - released_seen) < wanted) released_seen = released.load(std::memory_order_acquire);
    return std::min(wanted, kCapacity - (produced - released_seen));
  }
  void publish(int64_t n) { published.store(produced += n, std::memory_order_release); }
  int64_t ready(int64_t most) {
    if (published_seen == consumed) published_seen = published.load(std::memory_order_acquire);
    return std::min(most, published_seen - consumed);
  }
  void release(int64_t n) { released.store(consumed += n, std::memory_order_release); }
};

static void pin(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  if (sched_setaffinity(0, sizeof set, &set)) { std::perror("sched_setaffinity"); std::exit(2); }
}

static int wait(int pauses) {
  for (int i = 0; i < pauses; i++) pause_once();
  return std::min(2 * pauses, 64);
}

int main(int argc, char** argv) {
  if (argc != 5) { std::fprintf(stderr, "ring BATCH COUNT CORE CORE\n"); return 2; }
  const int64_t batch = std::atoll(argv[1]), count = std::atoll(argv[2]);
  const int cores[2] = {std::atoi(argv[3]), std::atoi(argv[4])};
  auto ring = std::make_unique<Ring>();
  std::memset(ring->slots, 0, sizeof ring->slots);
  uint64_t total = 0, wrong = 0;
  std::atomic<int> at_gate{0};
  auto gate = [&] { for (++at_gate; at_gate.load() < 2;) pause_once(); };
  std::chrono::steady_clock::time_point begun, ended;

  std::thread producer([&] {
    pin(cores[0]);
    gate();
    begun = std::chrono::steady_clock::now();
    int pauses = 1;
    for (int64_t item = 0; item < count;) {
      const int64_t n = ring->room(std::min(batch, count - item));
      if (!n) { pauses = wait(pauses); continue; }
      pauses = 1;
      for (int64_t number = item; number < item + n; number++)
        for (int64_t word = 0; word < kWords; word++) ring->slots[number & (kCapacity - 1)][word] = number + word;
      ring->publish(n);
      item += n;
    }
  });
  std::thread consumer([&] {
    pin(cores[1]);
    gate();
    int pauses = 1;
    for (int64_t item = 0; item < count;) {
      const int64_t n = ring->ready(batch);
      if (!n) { pauses = wait(pauses); continue; }
      pauses = 1;
      for (int64_t number = item; number < item + n; number++) {
        const int64_t* slot = ring->slots[number & (kCapacity - 1)];
        wrong += slot[0] != number;
        for (int64_t word = 0; word < kWords; word++) total += uint64_t(slot[word]);
      }
      ring->release(n);
      item += n;
    }
    ended = std::chrono::steady_clock::now();
  });
  producer.join();
  consumer.join();
  uint64_t expected = 0;
  for (int64_t item = 0; item < count; item++) expected += uint64_t(kWords * item + kWords * (kWords - 1) / 2);
  const double seconds = std::chrono::duration<double>(ended - begun).count();
  std::printf("METRIC items_per_s %.0f\n", double(count) / seconds);
  if (wrong || total != expected) { std::fprintf(stderr, "ring: %lu out of order, sum differs\n", (unsigned long)wrong); return 1; }
  return 0;
}
