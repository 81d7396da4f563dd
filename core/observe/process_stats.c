#include "observe/process_stats.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* The fields behind the name, which may hold any byte and ends with the last ')'. */
static enum status read_stat(struct process_stats *out)
{
    enum { STAT_MAX = 1024 };
    char text[STAT_MAX];
    FILE *file = fopen("/proc/self/stat", "re");
    if (!file)
        return STATUS_IO;
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = '\0';
    const char *rest = strrchr(text, ')');
    uint64_t user, system, started, virtual_bytes;
    int64_t pages;
    if (!rest || sscanf(rest + 1,
                        " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
                        " %*d %*d %*d %*d %u %*d %" SCNu64 " %" SCNu64 " %" SCNd64,
                        &user, &system, &out->threads, &started, &virtual_bytes, &pages) != 6)
        return STATUS_IO;
    double ticks = (double)sysconf(_SC_CLK_TCK);
    struct timespec now, since_boot;
    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_BOOTTIME, &since_boot);
    double booted = (double)(now.tv_sec - since_boot.tv_sec) + (double)(now.tv_nsec - since_boot.tv_nsec) / 1e9;
    out->cpu_seconds = (double)(user + system) / ticks;
    out->start_seconds = booted + (double)started / ticks;
    out->virtual_bytes = virtual_bytes;
    out->resident_bytes = (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return STATUS_OK;
}

static uint64_t count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    uint64_t count = 0;
    if (!folder)
        return 0;
    for (struct dirent *entry; (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count - 1; /* the folder's own */
}

enum status process_stats_read(struct process_stats *out)
{
    struct process_stats stats = {0};
    struct rlimit limit;
    enum status status = read_stat(&stats);
    if (status)
        return status;
    stats.open_descriptors = count_descriptors();
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        stats.descriptors_max = limit.rlim_cur;
    *out = stats;
    return STATUS_OK;
}
