// What the cycle mode tells at its end: a table to read, and the same as JSON (subbyte_cycles.h).
#ifndef SUBBYTE_CYCLES_REPORT_H_
#define SUBBYTE_CYCLES_REPORT_H_

namespace subbyte_cycles {

// A process that waits, and the process whose turn it is: nullptr where that is not known.
struct Blocked {
    const Process* process;
    const Process* until;
};

// Whether the call of a process has the stream among its arguments: the top gives streams the names of their variables.
inline bool mentions(const Process& process, const std::string& stream) {
    const auto in_name = [](char c) {
        return c == '_' || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
    };
    const std::string& call = process.call;
    for (std::size_t at = call.find(stream); at != std::string::npos; at = call.find(stream, at + 1)) {
        const std::size_t end = at + stream.size();
        if ((at == 0 || !in_name(call[at - 1])) && (end == call.size() || !in_name(call[end]))) return true;
    }
    return false;
}

// Whom a blocked process waits for. The other end of a stream that it has not come to yet is found by its call.
inline const Process* awaited(const Simulation& all, const Process& process) {
    const Channel& channel = *process.blocked;
    const Process* const known = process.blocked_for_room ? channel.reader : channel.writer;
    if (known != nullptr) return known;
    for (const auto& other : all.processes)
        if (other.get() != &process && mentions(*other, channel.name)) return other.get();
    return nullptr;
}

// Processes in a circle, each waiting for the next; without a circle (an end that is not known), all that wait.
inline std::vector<Blocked> deadlock(const Simulation& all) {
    std::vector<Blocked> waiting;
    for (const auto& process : all.processes)
        if (process->blocked != nullptr) waiting.push_back({process.get(), awaited(all, *process)});
    std::vector<Blocked> path;
    for (const Process* at = waiting.empty() ? nullptr : waiting.front().process; at != nullptr;) {
        const auto here = [at](const Blocked& blocked) { return blocked.process == at; };
        const auto seen = std::find_if(path.begin(), path.end(), here);
        if (seen != path.end()) return std::vector<Blocked>(seen, path.end());
        const auto next = std::find_if(waiting.begin(), waiting.end(), here);
        if (next == waiting.end()) break;
        path.push_back(*next);
        at = next->until;
    }
    return waiting;
}

inline void report_text(const Simulation& all, const std::vector<Blocked>& blocked) {
    const std::size_t frames = all.frames.size();
    if (frames > 0)
        std::printf("%zu frames; the first takes %lld cycles, the last %lld\n", frames,
                    all.frames[0].finish - all.frames[0].begin + 1,
                    all.frames[frames - 1].finish - all.frames[frames - 1].begin + 1);
    if (frames > 1)
        std::printf("%lld cycles between the last two frames\n",
                    all.frames[frames - 1].finish - all.frames[frames - 2].finish);
    std::printf("\n%-40s %12s %8s %16s %16s\n", "process", "iterations", "latency", "waits for words",
                "waits for room");
    for (const auto& process : all.processes)
        std::printf("%-40s %12lld %8lld %16lld %16lld\n", process->name.c_str(), process->iterations, process->latency,
                    process->waited_for_words, process->waited_for_room);
    std::printf("\n%-40s %12s %12s\n", "stream", "depth", "high water");
    for (const auto& channel : all.channels)
        if (channel->depth > 0)
            std::printf("%-40s %12lld %12lld\n", channel->name.c_str(), channel->depth, channel->high_water);
    if (blocked.empty()) return;
    std::printf("\ndeadlock in frame %zu\n", frames);
    for (const Blocked& item : blocked)
        std::printf("'%s' waits for %s '%s' of depth %lld, which '%s' %s\n", item.process->name.c_str(),
                    item.process->blocked_for_room ? "room in" : "a word of", item.process->blocked->name.c_str(),
                    item.process->blocked->depth, item.until == nullptr ? "?" : item.until->name.c_str(),
                    item.process->blocked_for_room ? "reads" : "writes");
}

// Names are C identifiers: nothing in them needs an escape.
inline void report_json(const Simulation& all, const std::vector<Blocked>& blocked, std::FILE* file) {
    const char* comma = "";
    std::fprintf(file, "{\n  \"frames\": [");
    for (const Frame& frame : all.frames) {
        std::fprintf(file, "%s\n    {\"begin\": %lld, \"finish\": %lld}", comma, frame.begin, frame.finish);
        comma = ",";
    }
    std::fprintf(file, "\n  ],\n  \"processes\": {");
    comma = "";
    for (const auto& process : all.processes) {
        std::fprintf(file,
                     "%s\n    \"%s\": {\"iterations\": %lld, \"latency\": %lld, \"waits_for_words\": %lld, "
                     "\"waits_for_room\": %lld}",
                     comma, process->name.c_str(), process->iterations, process->latency, process->waited_for_words,
                     process->waited_for_room);
        comma = ",";
    }
    std::fprintf(file, "\n  },\n  \"streams\": {");
    comma = "";
    for (const auto& channel : all.channels) {
        if (channel->depth == 0) continue;
        std::fprintf(file, "%s\n    \"%s\": {\"depth\": %lld, \"high_water\": %lld}", comma, channel->name.c_str(),
                     channel->depth, channel->high_water);
        comma = ",";
    }
    std::fprintf(file, "\n  },\n  \"deadlock\": [");
    comma = "";
    for (const Blocked& item : blocked) {
        std::fprintf(file, "%s\n    {\"process\": \"%s\", \"stream\": \"%s\", \"for_room\": %s, \"until\": \"%s\"}",
                     comma, item.process->name.c_str(), item.process->blocked->name.c_str(),
                     item.process->blocked_for_room ? "true" : "false",
                     item.until == nullptr ? "" : item.until->name.c_str());
        comma = ",";
    }
    std::fprintf(file, "\n  ]\n}\n");
}

inline void report(const Simulation& all) {
    const std::vector<Blocked> blocked = deadlock(all);
    report_text(all, blocked);
    std::fflush(stdout);
    if (all.report.empty()) return;
    std::FILE* const file = std::fopen(all.report.c_str(), "w");
    if (file == nullptr) fail(all.report.c_str(), "cannot be written");
    report_json(all, blocked, file);
    std::fclose(file);
}

}  // namespace subbyte_cycles

#endif  // SUBBYTE_CYCLES_REPORT_H_
