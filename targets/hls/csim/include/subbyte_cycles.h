// The cycle mode of C simulation (-DSUBBYTE_HLS_CYCLES): processes with clocks, streams that hold no more than their
// depth. It runs the same kernels, and says how long a design takes, who waits for whom, and how full streams become.
//
// Iteration i of a process, from one SUBBYTE_CYCLE() to the next, starts at s[i], as early as these allow:
//   s[i] >= s[i - 1] + 1, and s[0] >= 0
//   s[i] >= (when word k was written) + 1                  for each word k that it reads, at s[i]
//   s[i] + latency >= (when word k - depth was read) + 1   for each word k that it writes, at s[i] + latency
// An iteration moves at most one word of a stream. These are the rules of the compiler's schedule, so both must agree to
// the cycle; vendors' tools schedule by rules of their own, so this is an approximation of the hardware.
//
// Each process of a DATAFLOW region is a coroutine that runs until it wants a word or room that is not there. When it
// runs does not matter: its times are maxima of sums of earlier times. A region is run for one frame after the other;
// clocks and times of words go on from one to the next, and nothing in a frame waits for a later one.
//
// What a program does:
//   subbyte_cycles::set_latency("conv0", 6);            for each process; the bus has latency 0
//   subbyte_cycles::read_depths("fifo_depths.txt");     lines `stream depth`: instead of those in the design
//   subbyte_cycles::set_report("report.json");
//   for each frame: fill the input streams, call the top, empty the output streams
//   return subbyte_cycles::finish();
// A deadlock ends the program with status 1, after the report.
#ifndef SUBBYTE_CYCLES_H_
#define SUBBYTE_CYCLES_H_

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "subbyte_coroutine.h"

#define SUBBYTE_CYCLE() subbyte_cycles::next_iteration()
#define SUBBYTE_PROCESS(name, ...) subbyte_cycles::start_process(#name, #__VA_ARGS__, [&] { __VA_ARGS__; })
#define SUBBYTE_DATAFLOW_END() subbyte_cycles::run_processes()
#define SUBBYTE_DEPTH(stream, words) subbyte_cycles::set_depth((stream).channel(), words)

namespace subbyte_cycles {

typedef long long Time;

struct Process;

// The times of the words of a stream. depth 0: no end, as of streams between the testbench and the design.
struct Channel {
    std::string name;
    long long depth = 0;
    Process* writer = nullptr;
    Process* reader = nullptr;
    Process* waiting = nullptr;   // for the other end to move a word
    long long written = 0;        // words whose time is known
    long long read = 0;           // likewise
    std::deque<Time> unread;      // when the words read .. written - 1 were written
    std::deque<Time> leaving;     // when the words leaving_first .. read - 1 were read: their places are written again
    long long leaving_first = 0;  // the smallest word that the writer may still ask for
    std::deque<Time> unranked;    // writes whose fill is not known yet, since earlier reads may still come
    std::deque<Time> unranked_gone;  // reads that are not before the last ranked write
    long long ranked = 0;
    long long gone = 0;
    long long high_water = 0;

    // The most words held: at the writing of word k, k + 1 less those read in earlier cycles.
    void rank(bool all) {
        while (!unranked.empty() && (all || (!unranked_gone.empty() && unranked_gone.back() >= unranked.front()))) {
            while (!unranked_gone.empty() && unranked_gone.front() < unranked.front()) {
                unranked_gone.pop_front();
                ++gone;
            }
            high_water = std::max(high_water, ++ranked - gone);
            unranked.pop_front();
        }
    }
};

// A process and the iteration that it is in: what it has read and written there counts once the iteration ends.
struct Process {
    std::string name;
    std::string call;
    Time latency = 0;
    Coroutine coroutine;
    bool under_way = false;
    bool in_iteration = false;
    Time start = -1;  // of the last iteration that ended
    long long iterations = 0;
    std::vector<Channel*> reads;
    std::vector<Channel*> writes;
    Channel* blocked = nullptr;
    bool blocked_for_room = false;
    Time waited_for_words = 0;
    Time waited_for_room = 0;
    // In this frame, of words of bounded streams: when the first was written, the last read; whether there are any.
    bool wrote = false;
    bool read = false;
    Time first_write = 0;
    Time last_read = 0;
};

struct Frame {
    Time begin;
    Time finish;
};

struct Simulation {
    std::vector<std::unique_ptr<Process>> processes;
    std::map<std::string, Process*> process_of;
    std::vector<std::unique_ptr<Channel>> channels;
    std::map<std::string, Channel*> channel_of;
    std::map<std::string, Time> latencies;
    std::map<std::string, long long> depths;
    std::deque<Process*> ready;
    Process* current = nullptr;
    std::vector<Frame> frames;
    std::string report;
    std::FILE* trace = nullptr;
};

// Never destroyed: exit() may be called on the stack of a coroutine, which must stay.
inline Simulation& simulation() {
    static Simulation* const all = new Simulation;
    return *all;
}

[[noreturn]] inline void fail(const char* name, const char* what) {
    std::fprintf(stderr, "'%s' %s\n", name, what);
    std::exit(1);
}

}  // namespace subbyte_cycles

#include "subbyte_cycles_report.h"

namespace subbyte_cycles {

// Settings -------------------------------------------------------------------------------------------------------------

inline void set_latency(const char* process, Time cycles) { simulation().latencies[process] = cycles; }

// Where finish() writes its JSON.
inline void set_report(const char* path) { simulation().report = path; }

// Writes a line `process iteration r|w stream word` for each word that moves, all counted over all frames.
inline void set_trace(const char* path) {
    simulation().trace = std::fopen(path, "w");
    if (simulation().trace == nullptr) fail(path, "cannot be written");
}

// Reads lines `stream depth`; false where there is no such file.
inline bool read_depths(const char* path) {
    std::FILE* const file = std::fopen(path, "r");
    if (file == nullptr) return false;
    char name[512];
    long long depth = 0;
    for (int fields; (fields = std::fscanf(file, "%511s %lld", name, &depth)) != EOF;) {
        if (fields != 2 || depth < 1) fail(path, "has a line that is not a stream's name and its depth, at least 1");
        simulation().depths[name] = depth;
    }
    std::fclose(file);
    return true;
}

// Iterations -----------------------------------------------------------------------------------------------------------

// Gives the iteration its start, and its words their times.
inline void end_iteration(Process* self) {
    if (!self->in_iteration) return;
    Simulation& all = simulation();
    const Time earliest = self->start + 1;
    Time with_words = earliest;
    for (Channel* channel : self->reads) with_words = std::max(with_words, channel->unread.front() + 1);
    Time start = with_words;
    for (Channel* channel : self->writes) {
        const long long leaving = channel->written - channel->depth;
        if (channel->depth > 0 && leaving >= 0) {
            for (; channel->leaving_first < leaving; ++channel->leaving_first) channel->leaving.pop_front();
            start = std::max(start, channel->leaving.front() + 1 - self->latency);
        }
    }
    for (Channel* channel : self->reads) {
        if (all.trace != nullptr)
            std::fprintf(all.trace, "%s %lld r %s %lld\n", self->name.c_str(), self->iterations, channel->name.c_str(),
                         channel->read);
        channel->unread.pop_front();
        ++channel->read;
        if (channel->depth == 0) continue;
        channel->leaving.push_back(start);
        channel->unranked_gone.push_back(start);
        channel->rank(false);
        self->read = true;
        self->last_read = start;
    }
    for (Channel* channel : self->writes) {
        if (all.trace != nullptr)
            std::fprintf(all.trace, "%s %lld w %s %lld\n", self->name.c_str(), self->iterations, channel->name.c_str(),
                         channel->written);
        ++channel->written;
        channel->unread.push_back(start + self->latency);
        if (channel->depth == 0) continue;
        channel->unranked.push_back(start + self->latency);
        channel->rank(false);
        if (!self->wrote) self->first_write = start + self->latency;
        self->wrote = true;
    }
    for (const std::vector<Channel*>* moved : {&self->reads, &self->writes}) {
        for (Channel* channel : *moved) {
            if (channel->waiting != nullptr) all.ready.push_back(channel->waiting);
            channel->waiting = nullptr;
        }
    }
    self->waited_for_words += with_words - earliest;
    self->waited_for_room += start - with_words;
    self->start = start;
    ++self->iterations;
    self->reads.clear();
    self->writes.clear();
    self->in_iteration = false;
}

// SUBBYTE_CYCLE(). Outside of processes there is no time.
inline void next_iteration() {
    Process* const self = simulation().current;
    if (self == nullptr) return;
    end_iteration(self);
    self->in_iteration = true;
}

inline void wait_for(Process* self, Channel* channel, bool for_room) {
    self->blocked = channel;
    self->blocked_for_room = for_room;
    channel->waiting = self;
    self->coroutine.suspend();
    self->blocked = nullptr;
}

inline void check_move(Process* self, const std::vector<Channel*>& moved, Channel* channel) {
    if (!self->in_iteration) fail(self->name.c_str(), "moves a word before SUBBYTE_CYCLE() starts an iteration");
    if (std::find(moved.begin(), moved.end(), channel) == moved.end()) return;
    std::fprintf(stderr, "stream '%s': ", channel->name.c_str());
    fail(self->name.c_str(), "moves two words of it in one iteration; one is all that a cycle can");
}

// Streams call this before they take a word out. The testbench's reads take no time.
inline void before_read(Channel* channel) {
    Process* const self = simulation().current;
    if (self == nullptr) {
        if (!channel->unread.empty()) channel->unread.pop_front();
        ++channel->read;
        return;
    }
    channel->reader = self;
    check_move(self, self->reads, channel);
    while (channel->unread.empty()) wait_for(self, channel, false);
    self->reads.push_back(channel);
}

// Streams call this before they take a word in. What the testbench writes is there before the first cycle.
inline void before_write(Channel* channel) {
    Process* const self = simulation().current;
    if (self == nullptr) {
        channel->unread.push_back(-1);
        ++channel->written;
        return;
    }
    channel->writer = self;
    check_move(self, self->writes, channel);
    while (channel->depth > 0 && channel->read <= channel->written - channel->depth) wait_for(self, channel, true);
    self->writes.push_back(channel);
}

// Processes and streams ------------------------------------------------------------------------------------------------

inline Channel* channel_of(const std::string& name) {
    Simulation& all = simulation();
    if (name.empty()) fail("hls::stream", "has no name, by which the cycle mode tells streams apart");
    Channel*& channel = all.channel_of[name];
    if (channel == nullptr) {
        all.channels.emplace_back(new Channel);
        channel = all.channels.back().get();
        channel->name = name;
    }
    return channel;
}

inline void set_depth(Channel* channel, long long words) {
    const std::map<std::string, long long>& depths = simulation().depths;
    const auto chosen = depths.find(channel->name);
    channel->depth = chosen != depths.end() ? chosen->second : words;
}

inline void start_process(const char* name, const char* call, std::function<void()> body) {
    Simulation& all = simulation();
    std::string plain(name);
    plain.erase(std::remove(plain.begin(), plain.end(), '"'), plain.end());
    Process*& process = all.process_of[plain];
    if (process == nullptr) {
        all.processes.emplace_back(new Process);
        process = all.processes.back().get();
        process->name = plain;
        process->call = call;
        const auto latency = all.latencies.find(plain);
        if (latency != all.latencies.end()) process->latency = latency->second;
    }
    if (process->under_way) fail(plain.c_str(), "is the name of two processes");
    process->under_way = true;
    process->wrote = process->read = false;
    Process* const self = process;
    process->coroutine.start([self, body] {
        body();
        end_iteration(self);
    });
    all.ready.push_back(process);
}

// Runs all processes that were started to their ends: one frame. Where they cannot, reports the deadlock and exits.
inline void run_processes() {
    Simulation& all = simulation();
    while (!all.ready.empty()) {
        Process* const process = all.ready.front();
        all.ready.pop_front();
        all.current = process;
        process->coroutine.resume();
        all.current = nullptr;
        if (process->coroutine.done()) process->under_way = false;
    }
    for (const auto& process : all.processes) {
        if (process->under_way) {
            report(all);
            std::exit(1);
        }
    }
    Frame frame = {-1, -1};
    for (const auto& process : all.processes) {
        if (process->wrote && !process->read && (frame.begin < 0 || process->first_write < frame.begin))
            frame.begin = process->first_write;
        if (process->read && !process->wrote) frame.finish = std::max(frame.finish, process->last_read);
    }
    all.frames.push_back(frame);
}

// Reports and checks that all settings were of use. The status for main.
inline int finish() {
    Simulation& all = simulation();
    for (const auto& item : all.latencies)
        if (all.process_of.count(item.first) == 0) fail(item.first.c_str(), "has a latency, but no such process ran");
    for (const auto& item : all.depths)
        if (all.channel_of.count(item.first) == 0) fail(item.first.c_str(), "has a depth, but no such stream exists");
    for (const auto& channel : all.channels) channel->rank(true);
    report(all);
    if (all.trace != nullptr) std::fclose(all.trace);
    return 0;
}

}  // namespace subbyte_cycles

#endif  // SUBBYTE_CYCLES_H_
