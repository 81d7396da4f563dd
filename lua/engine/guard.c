#include "lua/engine/guard.h"

#include <errno.h>
#include <lauxlib.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

enum { TICKS_PER_LIMIT = 20 };

static const double NANOSECONDS = 1e9;
static const char guard_key;

/* The signal of all engines' timers: each timer says which guard it belongs to. */
static int guard_signal(void)
{
    return SIGRTMIN + 3;
}

static int64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void raise_cut_off(lua_State *L, lua_Debug *where)
{
    lua_pushlightuserdata(L, (void *)(uintptr_t)&guard_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    struct guard *guard = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (!guard->place[0] && lua_getinfo(L, "Sl", where) && where->currentline > 0)
        snprintf(guard->place, sizeof guard->place, "%s:%d: ", where->short_src, where->currentline);
    lua_pushfstring(L, "%scut off after %f s of computing (%s)", guard->place, (double)guard->limit_ns / NANOSECONDS,
                    guard->option ? guard->option : "hook_timeout");
    lua_error(L);
}

static void on_tick(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    struct guard *guard = info->si_value.sival_ptr;
    int saved = errno;
    if (info->si_code == SI_TIMER && guard->running && guard->cut_off) {
        /* Once more: LuaJIT forgets a hook that is set while it turns its compiler on or off. */
        lua_sethook(guard->L, raise_cut_off, LUA_MASKCOUNT, 1);
    } else if (info->si_code == SI_TIMER && guard->running) {
        int64_t now = cpu_ns();
        if (guard->seen != guard->sequence) {
            guard->seen = guard->sequence;
            guard->seen_ns = now;
        } else if (now - guard->seen_ns >= guard->limit_ns) {
            guard->cut_off = 1;
            lua_sethook(guard->L, raise_cut_off, LUA_MASKCOUNT, 1);
        }
    }
    errno = saved;
}

void guard_release(struct guard *guard)
{
    guard->cut_off = 0;
    guard->place[0] = '\0';
    lua_sethook(guard->L, guard->other, guard->other_mask, 0);
}

static bool install_handler(void)
{
    struct sigaction action = {.sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigset_t ours;
    sigemptyset(&action.sa_mask);
    sigemptyset(&ours);
    sigaddset(&ours, guard_signal());
    return sigaction(guard_signal(), &action, NULL) == 0 && pthread_sigmask(SIG_UNBLOCK, &ours, NULL) == 0;
}

bool guard_start(struct guard *guard, lua_State *L, double seconds)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = guard_signal()};
    event.sigev_value.sival_ptr = guard;
    event._sigev_un._tid = gettid();
    guard->L = L;
    guard->limit_ns = (int64_t)(seconds * NANOSECONDS);
    lua_pushlightuserdata(L, (void *)(uintptr_t)&guard_key);
    lua_pushlightuserdata(L, guard);
    lua_rawset(L, LUA_REGISTRYINDEX);
    if (!install_handler() || timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &guard->timer) != 0)
        return false;
    int64_t tick = guard->limit_ns / TICKS_PER_LIMIT + 1;
    struct timespec every = {.tv_sec = tick / 1000000000, .tv_nsec = tick % 1000000000};
    struct itimerspec setting = {.it_interval = every, .it_value = every};
    guard->started = true;
    if (timer_settime(guard->timer, 0, &setting, NULL) == 0)
        return true;
    guard_stop(guard);
    return false;
}

void guard_stop(struct guard *guard)
{
    if (!guard->started)
        return;
    guard->started = false;
    /* A tick may be on its way; none may find the guard gone. */
    sigset_t ours, before;
    sigemptyset(&ours);
    sigaddset(&ours, guard_signal());
    pthread_sigmask(SIG_BLOCK, &ours, &before);
    timer_delete(guard->timer);
    while (sigtimedwait(&ours, NULL, &(struct timespec){0}) > 0)
        continue;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}
