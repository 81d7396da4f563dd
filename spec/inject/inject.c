/* Calls that fail when they are told to: preloaded into the debug build, this stands between the proxy and what it
 * calls.
 *
 * INJECT names a file of the size of struct page, shared with whoever drives it. Each call that the proxy or one of the
 * libraries under it makes is counted; while `mode` says so, one fails: as malloc does, or with `error`, or Lua's
 * allocator within a script. Modes reset themselves once a call failed (but MODE_ALWAYS), so that one call fails at a
 * time. MODE_NEW fails the first call from a place (a call stack) that has not failed with this error: repeated until
 * nothing fails, it reaches every place that the traffic reaches. */
#include "lua/engine/memory.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <lua.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Classes of calls, in the order of the page's counts; spec/inject/inject.lua has the same. */
/* clang-format off */
#define CLASSES(X) \
    X(malloc) X(lua) X(socket) X(bind) X(connect) X(listen) \
    X(accept4) X(sendmmsg) X(recvmmsg) X(sendmsg) X(recvmsg) X(sendto) \
    X(send) X(recvfrom) X(recv) X(read) X(write) X(readv) \
    X(writev) X(setsockopt) X(getsockopt) X(getsockname) X(getpeername) X(epoll_create1) \
    X(epoll_ctl) X(epoll_wait) X(eventfd) X(timerfd_create) X(timerfd_settime) X(timer_create) \
    X(timer_settime) X(pipe2) X(socketpair) X(open) X(fopen) X(opendir) \
    X(fstat) X(inotify_init1) X(inotify_add_watch) X(getrandom) X(pthread_create) X(mmap)
/* clang-format on */

enum class {
#define X(name) CLASS_##name,
    CLASSES(X)
#undef X
        CLASS_COUNT
};

enum mode { MODE_OFF, MODE_NEW, MODE_NTH, MODE_ALWAYS };

enum { FRAMES = 24, SEEN = 1 << 16, WHERE_SIZE = 4096 };

struct page {
    uint32_t mode;
    uint32_t class;
    int32_t error;
    uint32_t nth;           /* MODE_NTH: calls of the class from now on until one fails, from 1 */
    uint32_t one_in, seed;  /* MODE_NEW: the share of the places that is taken, 0 and 1 for all */
    uint32_t failed;        /* calls that failed */
    uint32_t measure;       /* set: the next call writes `bytes` and takes this back */
    uint64_t bytes;         /* what is allocated */
    char match[64];         /* a part of the path of a file that has to be in the call stack; "" for any */
    uint64_t from, to;      /* the program's code that has to be in it, as offsets; 0 and 0 for any */
    uint64_t room[3][2];    /* the program's room_is_there, room_give and room_has_thread, likewise */
    uint32_t exempt;        /* calls that were to fail, and for which room was made just before */
    uint32_t roomless;      /* calls of the same functions for which none was, so that they failed */
    uint64_t counts[64];    /* by class */
    char where[WHERE_SIZE]; /* the last failed call's stack: "file+0xoffset", a line each */
    uint32_t seen[SEEN];    /* places that failed; 0 is free */
};

static struct page *page;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local bool inside;

/* --- whose calls --- */

struct range {
    uintptr_t from, to;
};

/* Code that is loaded. dladdr would lock the loader, which itself calls malloc. */
static struct module {
    struct range code;
    uintptr_t base;
    const char *path;
    bool is_ours, is_loader, is_sanitizer;
} modules[128];
static size_t module_count;
static char program[PATH_MAX];

static int add_module(struct dl_phdr_info *info, size_t size, void *context)
{
    static const char *const ours[] = {"libevent", "libcjson",      "libidn2", "libpcre2",  "libhiredis",
                                       "libfstrm", "libprotobuf-c", "libssl",  "libcrypto", "libc.so"};
    (void)size, (void)context;
    bool is_program = !info->dlpi_name[0], is_ours = is_program;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        is_ours |= strstr(info->dlpi_name, ours[i]) != NULL;
    for (unsigned i = 0; i < info->dlpi_phnum && module_count < sizeof modules / sizeof *modules; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t from = info->dlpi_addr + part->p_vaddr;
        if (part->p_type == PT_LOAD && part->p_flags & PF_X)
            modules[module_count++] = (struct module){.code = {from, from + part->p_memsz},
                                                      .base = info->dlpi_addr,
                                                      .path = is_program ? program : info->dlpi_name,
                                                      .is_ours = is_ours,
                                                      .is_loader = strstr(info->dlpi_name, "ld-linux"),
                                                      .is_sanitizer = strstr(info->dlpi_name, "libasan")};
    }
    return 0;
}

static bool is_within(struct range range, const void *at)
{
    return (uintptr_t)at >= range.from && (uintptr_t)at < range.to;
}

static const struct module *find_module(const void *at)
{
    static const struct module none = {.path = "?"};
    for (size_t i = 0; i < module_count; i++)
        if (is_within(modules[i].code, at))
            return &modules[i];
    return &none;
}

/* Functions of libraries that end the process if they get no memory, or no thread: the proxy makes room for them right
 * before (base/room.h). Their calls fail where it did not, or where they take more than that. */
static const char *const roomy_names[] = {"evhttp_connection_base_bufferevent_new", "evhttp_request_new",
                                          "fstrm_writer_open", "fstrm_writer_close"};
enum { ROOMY = sizeof roomy_names / sizeof *roomy_names };
static struct range roomy[ROOMY];

/* OpenSSL gives back what it has as the process exits; where it has no memory for that, it leaves it. */
static struct range openssl_exit;

static struct range code_of(const char *function)
{
    Dl_info info;
    const ElfW(Sym) *symbol = NULL;
    void *at = dlsym(RTLD_DEFAULT, function);
    if (!at || !dladdr1(at, &info, (void **)&symbol, RTLD_DL_SYMENT) || !symbol)
        return (struct range){0};
    return (struct range){(uintptr_t)at, (uintptr_t)at + symbol->st_size};
}

static void find_functions(void)
{
    for (size_t i = 0; i < ROOMY; i++)
        roomy[i] = code_of(roomy_names[i]);
    openssl_exit = code_of("OPENSSL_cleanup");
}

/* Whether the proxy, or the library itself, has called such a function, in which this is. What the proxy calls itself
 * of two libraries is all of that kind. */
static bool is_roomy(const void *at, const void *caller)
{
    bool is_proxy = find_module(caller)->path == program;
    const char *path = find_module(at)->path;
    if (is_proxy && (strstr(path, "libfstrm") || strstr(path, "libevent_openssl")))
        return true;
    for (size_t i = 0; i < ROOMY; i++)
        if (is_within(roomy[i], at))
            return is_proxy || strstr(path, "libfstrm");
    return false;
}

/* This thread's room: bytes that one of the proxy's functions gave back, less what was taken since; nothing is left
 * once the thread waited for events. */
enum { ROOM_IS_THERE, ROOM_GIVE, ROOM_HAS_THREAD, ROOM_KINDS };
enum { BLOCK_OVERHEAD = 16 };
static _Thread_local size_t room;
static _Thread_local bool has_thread;

static struct range room_code[ROOM_KINDS];

static void find_room(void)
{
    uintptr_t base = 0;
    for (size_t i = 0; i < module_count; i++)
        if (modules[i].path == program)
            base = modules[i].base;
    for (int i = 0; i < ROOM_KINDS; i++)
        room_code[i] = (struct range){base + page->room[i][0], base + page->room[i][1]};
}

static void take_room(size_t bytes)
{
    if (!page)
        return;
    room -= bytes + BLOCK_OVERHEAD < room ? bytes + BLOCK_OVERHEAD : room;
}

static void note_room_given(size_t bytes, const void *caller)
{
    if (bytes > room && (is_within(room_code[ROOM_IS_THERE], caller) || is_within(room_code[ROOM_GIVE], caller)))
        room = bytes;
}

static void forget_room(void)
{
    room = 0;
    has_thread = false;
}

/* --- places --- */

struct place {
    void *frames[FRAMES];
    int count;
    uint32_t key;
    bool is_exempt; /* the sanitizer calls, which checks what it gets by ending the process; or it lies elsewhere */
    bool is_roomy;
};

static uint32_t mix(uint32_t key, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        key = (key ^ (uint8_t)(value >> (8 * i))) * 16777619u;
    return key;
}

static void find_place(struct place *place, enum class class)
{
    enum { OWN = 3, KEYED = 12 };
    bool is_there = !page->match[0] && !page->to;
    bool needs_room = class == CLASS_malloc || class == CLASS_pthread_create;
    place->is_exempt = place->is_roomy = false;
    place->count = backtrace(place->frames, FRAMES);
    place->key = mix(mix(2166136261u, class), (uint64_t)page->error);
    for (int i = OWN; i < place->count && i < OWN + KEYED; i++) {
        const struct module *module = find_module(place->frames[i]);
        uintptr_t offset = (uintptr_t)place->frames[i] - module->base;
        is_there |= page->match[0] && strstr(module->path, page->match);
        is_there |= module->path == program && offset >= page->from && offset < page->to;
        place->is_exempt |= module->is_sanitizer || is_within(openssl_exit, place->frames[i]);
        needs_room &= module->path != program;
        if (needs_room && i + 1 < place->count)
            place->is_roomy |= is_roomy(place->frames[i], place->frames[i + 1]);
        place->key = mix(place->key, offset);
    }
    place->is_exempt |= !is_there;
    place->key |= 1;
}

static void note_where(const struct place *place)
{
    size_t at = 0;
    for (int i = 2; i < place->count && at < WHERE_SIZE; i++) {
        const struct module *module = find_module(place->frames[i]);
        at += (size_t)snprintf(page->where + at, WHERE_SIZE - at, "%s+0x%zx\n", module->path,
                               (size_t)((uintptr_t)place->frames[i] - module->base));
    }
}

/* Whether the place is new, which it then is no more. */
static bool is_new(uint32_t key)
{
    for (uint32_t i = 0; i < SEEN; i++) {
        uint32_t *slot = &page->seen[(key + i) % SEEN];
        if (*slot == key)
            return false;
        if (*slot == 0) {
            *slot = key;
            return page->one_in < 2 || (mix(key, page->seed) >> 16) % page->one_in == 0; /* keys are odd */
        }
    }
    return false;
}

/* Whether there is room for a call that takes so many bytes; one in those functions. */
static bool has_room(enum class class, size_t bytes)
{
    return class == CLASS_pthread_create ? has_thread : room >= bytes + BLOCK_OVERHEAD;
}

static bool is_chosen(enum class class, size_t bytes)
{
    struct place place;
    bool chosen = page->mode == MODE_ALWAYS || (page->mode == MODE_NTH && page->nth && --page->nth == 0);
    if (page->mode == MODE_NEW || chosen) {
        find_place(&place, class);
        const bool is_safe = place.is_roomy && has_room(class, bytes);
        page->exempt += is_safe && !place.is_exempt;
        chosen = !place.is_exempt && !is_safe && (chosen || is_new(place.key));
    }
    if (!chosen)
        return false;
    page->roomless += place.is_roomy;
    note_where(&place);
    page->failed++;
    if (page->mode != MODE_ALWAYS)
        page->mode = MODE_OFF;
    return true;
}

size_t __sanitizer_get_current_allocated_bytes(void);

static __attribute__((noinline)) bool fails_of(enum class class, size_t bytes, const void *caller)
{
    if (!page || inside || (caller && !find_module(caller)->is_ours))
        return false;
    inside = true;
    int before = errno;
    pthread_mutex_lock(&lock);
    page->counts[class]++;
    if (page->measure) {
        page->bytes = __sanitizer_get_current_allocated_bytes();
        page->measure = 0;
    }
    bool chosen = page->mode != MODE_OFF && page->class == class && is_chosen(class, bytes);
    int error = page->error;
    pthread_mutex_unlock(&lock);
    inside = false;
    errno = chosen ? error : before;
    return chosen;
}

#define fails(class, caller) fails_of(class, 0, caller)

static __attribute__((constructor)) void begin(void)
{
    const char *path = getenv("INJECT");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *frames[2];
    if (fd < 0)
        return;
    if (readlink("/proc/self/exe", program, sizeof program - 1) < 0)
        program[0] = 0;
    dl_iterate_phdr(add_module, NULL);
    find_functions();
    backtrace(frames, 2);
    struct page *mapped = mmap(NULL, sizeof *mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    page = mapped == MAP_FAILED ? NULL : mapped;
    if (page)
        find_room();
}

/* --- memory --- */

/* The sanitizer's own functions: what stands in for malloc cannot look them up by dlsym, which allocates. */
void *__interceptor_malloc(size_t size);
void *__interceptor_calloc(size_t count, size_t size);
void *__interceptor_realloc(void *block, size_t size);
void *__interceptor_aligned_alloc(size_t alignment, size_t size);
void __interceptor_free(void *block);
char *__interceptor_strdup(const char *text);
char *__interceptor_strndup(const char *text, size_t size);
void __lsan_ignore_object(const void *block);

/* The dynamic linker keeps what it takes where the leak check does not look. */
static void *taken(void *block, const void *caller)
{
    if (block && find_module(caller)->is_loader)
        __lsan_ignore_object(block);
    return block;
}

#define CALLER __builtin_return_address(0)
#define ALLOCATE(type, name, parameters, arguments, bytes)                    \
    type name parameters;                                                     \
    type name parameters                                                      \
    {                                                                         \
        size_t taken_bytes = bytes;                                           \
        bool failed = fails_of(CLASS_malloc, taken_bytes, CALLER);            \
        take_room(taken_bytes);                                               \
        return failed ? NULL : taken(__interceptor_##name arguments, CALLER); \
    }
ALLOCATE(void *, malloc, (size_t size), (size), size)
ALLOCATE(void *, calloc, (size_t count, size_t size), (count, size), count *size)
ALLOCATE(void *, realloc, (void *block, size_t size), (block, size), size)
ALLOCATE(void *, aligned_alloc, (size_t alignment, size_t size), (alignment, size), alignment + size)
ALLOCATE(char *, strdup, (const char *text), (text), strlen(text) + 1)
ALLOCATE(char *, strndup, (const char *text, size_t size), (text, size), strnlen(text, size) + 1)

void free(void *block);
void free(void *block)
{
    size_t bytes = page && block ? malloc_usable_size(block) : 0;
    __interceptor_free(block);
    if (bytes)
        note_room_given(bytes, CALLER);
}

/* Lua's allocator fails only where a script runs, as the scripts' own limit does. */
static lua_Alloc lua_allocate;

static void *allocate_lua(void *context, void *block, size_t old_size, size_t new_size)
{
    struct memory *memory = context;
    if (new_size > old_size && memory->enforced && fails(CLASS_lua, NULL)) {
        memory->exhausted = true;
        return NULL;
    }
    return lua_allocate(context, block, old_size, new_size);
}

#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

void lua_setallocf(lua_State *L, lua_Alloc allocate, void *context)
{
    lua_allocate = allocate;
    NEXT(lua_setallocf)(L, page ? allocate_lua : allocate, context);
}

/* --- the system --- */

#define CALL_AS(class, type, bad, name, parameters, arguments)        \
    type name parameters                                              \
    {                                                                 \
        static __typeof__(&(name)) next;                              \
        if (!next)                                                    \
            next = NEXT(name);                                        \
        return fails(CLASS_##class, CALLER) ? (bad) : next arguments; \
    }
#define CALL(type, bad, name, parameters, arguments) CALL_AS(name, type, bad, name, parameters, arguments)

CALL(int, -1, socket, (int domain, int type, int protocol), (domain, type, protocol))
CALL(int, -1, bind, (int fd, const struct sockaddr *address, socklen_t length), (fd, address, length))
CALL(int, -1, connect, (int fd, const struct sockaddr *address, socklen_t length), (fd, address, length))
CALL(int, -1, listen, (int fd, int backlog), (fd, backlog))
CALL(int, -1, accept4, (int fd, struct sockaddr *address, socklen_t *length, int flags), (fd, address, length, flags))
CALL(int, -1, sendmmsg, (int fd, struct mmsghdr *messages, unsigned count, int flags), (fd, messages, count, flags))
CALL(int, -1, recvmmsg, (int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout),
     (fd, messages, count, flags, timeout))
CALL(ssize_t, -1, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
CALL(ssize_t, -1, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags))
CALL(ssize_t, -1, sendto,
     (int fd, const void *data, size_t size, int flags, const struct sockaddr *address, socklen_t length),
     (fd, data, size, flags, address, length))
CALL(ssize_t, -1, send, (int fd, const void *data, size_t size, int flags), (fd, data, size, flags))
CALL(ssize_t, -1, recvfrom, (int fd, void *data, size_t size, int flags, struct sockaddr *address, socklen_t *length),
     (fd, data, size, flags, address, length))
CALL(ssize_t, -1, recv, (int fd, void *data, size_t size, int flags), (fd, data, size, flags))
CALL(ssize_t, -1, read, (int fd, void *data, size_t size), (fd, data, size))
CALL(ssize_t, -1, write, (int fd, const void *data, size_t size), (fd, data, size))
CALL(ssize_t, -1, readv, (int fd, const struct iovec *parts, int count), (fd, parts, count))
CALL(ssize_t, -1, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))
CALL(int, -1, setsockopt, (int fd, int level, int name, const void *value, socklen_t length),
     (fd, level, name, value, length))
CALL(int, -1, getsockopt, (int fd, int level, int name, void *value, socklen_t *length),
     (fd, level, name, value, length))
CALL(int, -1, getsockname, (int fd, struct sockaddr *address, socklen_t *length), (fd, address, length))
CALL(int, -1, getpeername, (int fd, struct sockaddr *address, socklen_t *length), (fd, address, length))
CALL(int, -1, epoll_create1, (int flags), (flags))
CALL(int, -1, epoll_ctl, (int fd, int what, int of, struct epoll_event *event), (fd, what, of, event))

int epoll_wait(int fd, struct epoll_event *events, int most, int timeout)
{
    static __typeof__(&epoll_wait) next;
    if (!next)
        next = NEXT(epoll_wait);
    forget_room();
    return fails(CLASS_epoll_wait, CALLER) ? -1 : next(fd, events, most, timeout);
}

CALL(int, -1, eventfd, (unsigned value, int flags), (value, flags))
CALL(int, -1, timerfd_create, (int clock, int flags), (clock, flags))
CALL(int, -1, timerfd_settime, (int fd, int flags, const struct itimerspec *time, struct itimerspec *old),
     (fd, flags, time, old))
CALL(int, -1, timer_create, (clockid_t clock, struct sigevent *event, timer_t *timer), (clock, event, timer))
CALL(int, -1, timer_settime, (timer_t timer, int flags, const struct itimerspec *time, struct itimerspec *old),
     (timer, flags, time, old))
CALL(int, -1, pipe2, (int fds[2], int flags), (fds, flags))
CALL(int, -1, socketpair, (int domain, int type, int protocol, int fds[2]), (domain, type, protocol, fds))

int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t permissions = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return fails(CLASS_open, CALLER) ? -1 : NEXT(open)(path, flags, permissions);
}

CALL(FILE *, NULL, fopen, (const char *path, const char *how), (path, how))
CALL_AS(fopen, FILE *, NULL, fopen64, (const char *path, const char *how), (path, how))
CALL(DIR *, NULL, opendir, (const char *path), (path))
CALL(int, -1, fstat, (int fd, struct stat *out), (fd, out))
CALL(int, -1, inotify_init1, (int flags), (flags))
CALL(int, -1, inotify_add_watch, (int fd, const char *path, uint32_t mask), (fd, path, mask))
CALL(ssize_t, -1, getrandom, (void *out, size_t size, unsigned flags), (out, size, flags))

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context)
{
    if (fails(CLASS_pthread_create, CALLER))
        return page->error;
    int code = NEXT(pthread_create)(thread, attributes, run, context);
    has_thread = page && code == 0 && is_within(room_code[ROOM_HAS_THREAD], CALLER);
    return code;
}

CALL(void *, MAP_FAILED, mmap, (void *at, size_t size, int protection, int flags, int fd, off_t offset),
     (at, size, protection, flags, fd, offset))
