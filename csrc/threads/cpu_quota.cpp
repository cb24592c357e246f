#include "threads/cpu_quota.h"

#if defined(__linux__)
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>
#endif

namespace pynn {

#if defined(__linux__)
namespace {

// Returns the text of a file; empty if there is none.
std::string text_of(const std::string& path) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"),
                                                               std::fclose);
    std::string text;
    char buffer[256];
    while (file) {
        const std::size_t count = std::fread(buffer, 1, sizeof buffer, file.get());
        if (count == 0) break;
        text.append(buffer, count);
    }
    return text;
}

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts;
    for (std::size_t begin = 0; begin <= text.size();) {
        const std::size_t end = std::min(text.find(separator, begin), text.size());
        parts.push_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    return parts;
}

bool has(const std::vector<std::string>& parts, const char* part) {
    return std::find(parts.begin(), parts.end(), part) != parts.end();
}

// Returns the limit of one control group; 0: none. `v2`: the second version's file.
double limit_of(const std::string& folder, bool v2) {
    std::string quota, period;
    if (v2) {
        const std::vector<std::string> words = split(text_of(folder + "/cpu.max"), ' ');
        if (words.size() == 2) quota = words[0], period = words[1];
    } else {
        quota = text_of(folder + "/cpu.cfs_quota_us");
        period = text_of(folder + "/cpu.cfs_period_us");
    }
    // (No limit is "max" or -1.)
    const long long time = std::atoll(quota.c_str()), of = std::atoll(period.c_str());
    return time > 0 && of > 0 ? static_cast<double>(time) / static_cast<double>(of) : 0;
}

}  // namespace

double read_cpu_quota(const std::string& root) {
    double lowest = 0;
    const auto limits = split(text_of(root + "/proc/self/cgroup"), '\n');
    for (const std::string& mount : split(text_of(root + "/proc/self/mountinfo"), '\n')) {
        // 36 35 98:0 /root /mount/point options ... - type source options
        const std::vector<std::string> words = split(mount, ' ');
        const auto dash = std::find(words.begin(), words.end(), "-");
        if (words.end() - dash < 4 || dash - words.begin() < 6) continue;
        const bool v2 = dash[1] == "cgroup2";
        if (!v2 && (dash[1] != "cgroup" || !has(split(dash[3], ','), "cpu"))) continue;
        const std::string &top = words[3], &point = words[4];
        for (const std::string& line : limits) {
            // 4:cpu,cpuacct:/path, or 0::/path
            const std::size_t first = line.find(':');
            if (first == std::string::npos) continue;
            const std::size_t second = line.find(':', first + 1);
            if (second == std::string::npos) continue;
            const std::string controllers = line.substr(first + 1, second - first - 1);
            if (v2 ? !controllers.empty() : !has(split(controllers, ','), "cpu")) continue;
            std::string path = line.substr(second + 1);
            // In a container the group's own path may be the mount's root, or lie outside of it.
            if (top != "/") {
                const bool inside = path.compare(0, top.size(), top) == 0;
                path = inside ? path.substr(top.size()) : "";
            }
            while (!path.empty() && path.back() == '/') path.pop_back();
            // Every group above it limits it, too.
            while (true) {
                const double limit = limit_of(root + point + path, v2);
                if (limit > 0) lowest = lowest > 0 ? std::min(lowest, limit) : limit;
                if (path.empty()) break;
                path.resize(std::min(path.rfind('/'), path.size() - 1));
            }
        }
    }
    return lowest;
}
#else
double read_cpu_quota(const std::string&) { return 0; }
#endif

double cpu_quota() {
    static const double quota = read_cpu_quota("");
    return quota;
}

}  // namespace pynn
