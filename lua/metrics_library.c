#include "lua/metrics_library.h"

#include <math.h>

enum { SLOT_ACCESS = 1 };

/* A Counter, Gauge or Histogram. */
struct metric {
    const struct lua_metrics *metrics; /* slot SLOT_ACCESS keeps it */
    struct script_metric *metric;
    struct script_series *series; /* the only one, of a metric without labels; else NULL */
};

static const struct lua_class *class_of(enum metric_kind kind)
{
    return kind == METRIC_COUNTER ? &lua_counter_class : kind == METRIC_GAUGE ? &lua_gauge_class : &lua_histogram_class;
}

/* --- labels --- */

/* Reads the value of each label from the table at `index`; the values are borrowed from it. */
static void read_labels(lua_State *L, int index, const struct script_metric *metric, struct span *out, const char *what)
{
    const char *names[SCRIPT_METRICS_LABELS_MAX + 1];
    size_t count = script_metric_label_count(metric);
    for (size_t i = 0; i < count; i++)
        names[i] = script_metric_label(metric, i);
    names[count] = NULL;
    lua_check_table(L, index, what);
    lua_check_keys(L, index, names, what);
    for (size_t i = 0; i < count; i++) {
        lua_getfield(L, index, names[i]);
        if (lua_type(L, -1) != LUA_TSTRING) {
            lua_pushfstring(L, "%s: label '%s'", what, names[i]);
            lua_raise_expected(L, -2, lua_tostring(L, -1), "string");
        }
        out[i].data = (const uint8_t *)lua_tolstring(L, -1, &out[i].length);
        lua_pop(L, 1);
    }
}

/* The series that the labels at `index` name (none: nil). NULL: it is not there, or cannot be made. */
static struct script_series *find_series(lua_State *L, int index, const struct lua_metrics *metrics,
                                         struct script_metric *metric, bool make, const char *what)
{
    struct span values[SCRIPT_METRICS_LABELS_MAX];
    if (!lua_isnoneornil(L, index))
        read_labels(L, index, metric, values, what);
    else if (script_metric_label_count(metric))
        luaL_error(L, "%s: '%s' has labels: table {%s = \"…\"} expected, got nil", what, script_metric_name(metric),
                   script_metric_label(metric, 0));
    return script_series_find(metrics->registry, metric, values, make);
}

static struct script_series *series_of(lua_State *L, const struct metric *self, int labels, const char *what)
{
    if (self->series && lua_isnoneornil(L, labels))
        return self->series;
    return find_series(L, labels, self->metrics, self->metric, true, what);
}

/* --- methods --- */

static double check_finite(lua_State *L, int index, const char *what)
{
    double value = lua_check_number(L, index, what);
    if (!isfinite(value))
        lua_raise_expected(L, index, what, "finite number");
    return value;
}

/* Adds the number at 2, or 1 where there is none, times `sign`. */
static int add(lua_State *L, const struct lua_class *class, double sign, const char *what)
{
    const struct metric *self = lua_class_self(L, class, what);
    if (lua_istable(L, 2)) { /* labels alone */
        lua_settop(L, 2);
        lua_pushnil(L);
        lua_insert(L, 2);
    }
    lua_settop(L, 3);
    double by = lua_isnil(L, 2) ? 1 : check_finite(L, 2, what);
    if (class == &lua_counter_class && by < 0)
        lua_raise_expected(L, 2, what, "number from 0 (a gauge can go down)");
    struct script_series *series = series_of(L, self, 3, what);
    if (series)
        script_series_add(series, by * sign);
    return 0;
}

static int counter_inc(lua_State *L)
{
    return add(L, &lua_counter_class, 1, "Counter.inc");
}

static int gauge_inc(lua_State *L)
{
    return add(L, &lua_gauge_class, 1, "Gauge.inc");
}

static int gauge_dec(lua_State *L)
{
    return add(L, &lua_gauge_class, -1, "Gauge.dec");
}

static int gauge_set(lua_State *L)
{
    const struct metric *self = lua_class_self(L, &lua_gauge_class, "Gauge.set");
    lua_settop(L, 3);
    double value = lua_check_number(L, 2, "Gauge.set");
    struct script_series *series = series_of(L, self, 3, "Gauge.set");
    if (series)
        script_series_set(series, value);
    return 0;
}

static int histogram_observe(lua_State *L)
{
    const struct metric *self = lua_class_self(L, &lua_histogram_class, "Histogram.observe");
    lua_settop(L, 3);
    double value = check_finite(L, 2, "Histogram.observe");
    struct script_series *series = series_of(L, self, 3, "Histogram.observe");
    if (series)
        script_series_observe(self->metric, series, value);
    return 0;
}

/* {count=, sum=, buckets={[bound]=how many up to there}} */
static void push_histogram(lua_State *L, const struct script_metric *metric, const struct script_series *series)
{
    size_t bounds = script_metric_bucket_count(metric);
    double count = 0;
    lua_createtable(L, 0, 3);
    lua_newtable(L);
    for (size_t i = 0; i <= bounds; i++) {
        count += series ? (double)script_series_bucket(series, i) : 0;
        lua_pushnumber(L, i < bounds ? script_metric_bucket(metric, i) : HUGE_VAL);
        lua_pushnumber(L, count);
        lua_rawset(L, -3);
    }
    lua_setfield(L, -2, "buckets");
    lua_pushnumber(L, count);
    lua_setfield(L, -2, "count");
    lua_pushnumber(L, series ? script_series_value(series) : 0);
    lua_setfield(L, -2, "sum");
}

/* Pushes the value of the series that the labels at `index` name; one that is not there counts as 0. */
static int push_value(lua_State *L, int index, const struct lua_metrics *metrics, struct script_metric *metric,
                      const char *what)
{
    const struct script_series *series = find_series(L, index, metrics, metric, false, what);
    if (script_metric_kind(metric) == METRIC_HISTOGRAM)
        push_histogram(L, metric, series);
    else
        lua_pushnumber(L, series ? script_series_value(series) : 0);
    return 1;
}

static int get(lua_State *L, const struct lua_class *class, const char *what)
{
    const struct metric *self = lua_class_self(L, class, what);
    lua_settop(L, 2);
    return push_value(L, 2, self->metrics, self->metric, what);
}

static int counter_get(lua_State *L)
{
    return get(L, &lua_counter_class, "Counter.get");
}

static int gauge_get(lua_State *L)
{
    return get(L, &lua_gauge_class, "Gauge.get");
}

static int histogram_get(lua_State *L)
{
    return get(L, &lua_histogram_class, "Histogram.get");
}

static int push_text(lua_State *L, const struct lua_class *class, const char *end)
{
    const struct metric *self = lua_class_self(L, class, class->name);
    lua_pushfstring(L, "%s %s%s", class->name, script_metric_name(self->metric), end);
    return 1;
}

static int counter_tostring(lua_State *L)
{
    return push_text(L, &lua_counter_class, "_total");
}

static int gauge_tostring(lua_State *L)
{
    return push_text(L, &lua_gauge_class, "");
}

static int histogram_tostring(lua_State *L)
{
    return push_text(L, &lua_histogram_class, "");
}

static const struct lua_method counter_methods[] = {
    {"inc", counter_inc, "inc([n] [, labels])", "Adds `n`, 0 or more; 1 without it."},
    {"get", counter_get, "get([labels])", "The value."},
    {0},
};

static const struct lua_method gauge_methods[] = {
    {"set", gauge_set, "set(value [, labels])", "Sets it; of what several workers set, the last counts."},
    {"inc", gauge_inc, "inc([n] [, labels])", "Adds `n`; 1 without it."},
    {"dec", gauge_dec, "dec([n] [, labels])", "Takes `n` off; 1 without it."},
    {"get", gauge_get, "get([labels])", "The value."},
    {0},
};

static const struct lua_method histogram_methods[] = {
    {"observe", histogram_observe, "observe(value [, labels])", "Counts a value in."},
    {"get", histogram_get, "get([labels])",
     "`{count=, sum=, buckets=}`; `buckets[bound]` is the number of values up to the bound, `buckets[math.huge]` of "
     "all."},
    {0},
};

const struct lua_class lua_counter_class = {
    .name = "Counter",
    .methods = counter_methods,
    .tostring = counter_tostring,
    .doc = "A number that only grows: what all workers have added, since the start of the process.",
};

const struct lua_class lua_gauge_class = {
    .name = "Gauge",
    .methods = gauge_methods,
    .tostring = gauge_tostring,
    .doc = "A number that goes up and down. All workers share it.",
};

const struct lua_class lua_histogram_class = {
    .name = "Histogram",
    .methods = histogram_methods,
    .tostring = histogram_tostring,
    .doc = "How values are spread: their number, their sum, and how many lie below each bound.",
};

/* --- the table. Upvalue of each function: access. --- */

static const double default_buckets[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

static const struct lua_metrics *metrics_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

/* Reads an array of label names at `index`; nil: none. */
static size_t read_names(lua_State *L, int index, const char **out, const char *what)
{
    if (lua_isnil(L, index))
        return 0;
    lua_check_table(L, index, what);
    size_t count = lua_objlen(L, index);
    lua_pushnil(L);
    if (count > SCRIPT_METRICS_LABELS_MAX || (count == 0 && lua_next(L, index)))
        luaL_error(L, "%s: labels: array of up to %d names expected", what, SCRIPT_METRICS_LABELS_MAX);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, index, (int)i + 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            lua_raise_expected(L, -1, what, "label's name");
        out[i] = lua_tostring(L, -1); /* the table keeps it */
    }
    return count;
}

static size_t read_buckets(lua_State *L, int index, double *out, const char *what)
{
    lua_check_table(L, index, what);
    size_t count = lua_objlen(L, index);
    if (count > SCRIPT_METRICS_BUCKETS_MAX)
        luaL_error(L, "%s: buckets: %d bounds at the most expected, got %d", what, SCRIPT_METRICS_BUCKETS_MAX,
                   (int)count);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, index, (int)i + 1);
        if (lua_type(L, -1) != LUA_TNUMBER)
            lua_raise_expected(L, -1, what, "bound of a bucket (a number)");
        out[i] = lua_tonumber(L, -1);
        lua_pop(L, 1);
    }
    return count;
}

/* Pushes the object for a metric. */
static void push_metric(lua_State *L, const struct lua_metrics *metrics, struct script_metric *metric)
{
    struct metric *self = lua_class_new(L, class_of(script_metric_kind(metric)), sizeof *self);
    self->metrics = metrics;
    self->metric = metric;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_class_slot_set(L, lua_gettop(L) - 1, SLOT_ACCESS);
    if (script_metric_label_count(metric) == 0)
        self->series = script_series_find(metrics->registry, metric, NULL, true);
}

/* Declares what the arguments say: name, help, labels; a histogram's buckets stand before the labels. */
static int declare(lua_State *L, enum metric_kind kind, const char *what)
{
    const struct lua_metrics *metrics = metrics_of(L);
    const char *labels[SCRIPT_METRICS_LABELS_MAX];
    double buckets[SCRIPT_METRICS_BUCKETS_MAX];
    bool histogram = kind == METRIC_HISTOGRAM;
    if (lua_istable(L, 1))
        luaL_error(L, "%s: name expected, got table (call it with a dot)", what);
    lua_settop(L, histogram ? 4 : 3);
    luaL_checkstack(L, SCRIPT_METRICS_LABELS_MAX + 8, NULL);
    struct script_metric_spec spec = {
        .kind = kind,
        .name = lua_check_text(L, 1, NULL, what),
        .help = lua_check_text(L, 2, NULL, what),
        .labels = labels,
        .buckets = default_buckets,
    };
    if (histogram && !lua_isnil(L, 3)) {
        spec.bucket_count = read_buckets(L, 3, buckets, what);
        spec.buckets = buckets;
    } else if (histogram) {
        spec.bucket_count = sizeof default_buckets / sizeof *default_buckets;
    }
    spec.label_count = read_names(L, histogram ? 4 : 3, labels, what);
    spec.owner = metrics->owner(metrics->context, &spec.loading);
    struct script_metric *metric;
    struct reason reason;
    if (script_metrics_declare(metrics->registry, &spec, &metric, &reason))
        return lua_raise_reason(L, what, &reason);
    push_metric(L, metrics, metric);
    return 1;
}

static int metrics_counter(lua_State *L)
{
    return declare(L, METRIC_COUNTER, "metrics.counter");
}

static int metrics_gauge(lua_State *L)
{
    return declare(L, METRIC_GAUGE, "metrics.gauge");
}

static int metrics_histogram(lua_State *L)
{
    return declare(L, METRIC_HISTOGRAM, "metrics.histogram");
}

static int metrics_get(lua_State *L)
{
    const struct lua_metrics *metrics = metrics_of(L);
    lua_settop(L, 2);
    struct script_metric *metric = script_metrics_find(metrics->registry, lua_check_text(L, 1, NULL, "metrics.get"));
    if (!metric) {
        lua_pushnil(L);
        return 1;
    }
    return push_value(L, 2, metrics, metric, "metrics.get");
}

const struct lua_method lua_metrics_functions[] = {
    {"counter", metrics_counter, "counter(name, help [, labels])",
     "A Counter. Its name ends in `_total`, given or not."},
    {"gauge", metrics_gauge, "gauge(name, help [, labels])", "A Gauge."},
    {"histogram", metrics_histogram, "histogram(name, help [, buckets [, labels]])",
     "A Histogram; `buckets` are upper bounds in order, without them those for seconds from 0.005 to 10."},
    {"get", metrics_get, "get(name [, labels])",
     "The value of a metric by its name, as the object's own `get`; nil where none was declared."},
    {0},
};

void lua_metrics_push(lua_State *L, int access)
{
    static const struct lua_class *const classes[] = {&lua_counter_class, &lua_gauge_class, &lua_histogram_class};
    luaL_checkstack(L, 6, NULL);
    lua_pushvalue(L, access);
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        lua_class_register(L, classes[i]);
        lua_pop(L, 1);
    }
    lua_newtable(L);
    for (const struct lua_method *function = lua_metrics_functions; function->name; function++) {
        lua_pushvalue(L, -2);
        lua_pushcclosure(L, function->function, 1);
        lua_setfield(L, -2, function->name);
    }
    lua_remove(L, -2);
}

/* --- a registry that Lua owns --- */

static const char *no_owner(void *context, uint64_t *loading)
{
    (void)context;
    *loading = 0;
    return "the script";
}

/* __gc */
static int registry_free(lua_State *L)
{
    struct lua_metrics *metrics = lua_touserdata(L, 1);
    script_metrics_free(metrics->registry);
    metrics->registry = NULL;
    return 0;
}

int lua_metrics_new(lua_State *L)
{
    lua_settop(L, 0);
    struct lua_metrics *metrics = lua_newuserdata(L, sizeof *metrics);
    *metrics = (struct lua_metrics){.owner = no_owner};
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, registry_free);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    metrics->registry = script_metrics_new(NULL);
    if (!metrics->registry)
        return luaL_error(L, "out of memory");
    lua_metrics_push(L, 1);
    return 1;
}
