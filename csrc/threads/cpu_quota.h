// The processor time that the system grants this process, where that is less than its processors.
#pragma once

#include <string>

namespace pynn {

// Returns how many processors' time the control groups of this process allow; 0: no limit.
// Containers set it (`docker run --cpus=1.5`, Kubernetes' limits). Read at the first call.
double cpu_quota();

// The same from the files of /proc and /sys below `root`.
double read_cpu_quota(const std::string& root);

}  // namespace pynn
