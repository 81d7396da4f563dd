#include "lua/engine/loading.h"

#include "base/text_file.h"

#include <pthread.h>
#include <stdlib.h>

struct loaded_file {
    struct loaded_file *next;
    char *path;
    struct buffer text;
    enum status status;
    struct reason reason;
};

struct loading {
    pthread_mutex_t lock;
    struct loaded_file *files;
    size_t sources;
    bool lists;
    const char *const *settings;
    const struct engine_option *options;
    bool chosen[];
};

struct loading *loading_new(size_t sources)
{
    struct loading *loading = calloc(1, sizeof *loading + sources * sizeof loading->chosen[0]);
    if (!loading)
        return NULL;
    loading->sources = sources;
    pthread_mutex_init(&loading->lock, NULL);
    return loading;
}

void loading_forget(struct loading *loading)
{
    while (loading->files) {
        struct loaded_file *file = loading->files;
        loading->files = file->next;
        buffer_free(&file->text);
        free(file->path);
        free(file);
    }
}

void loading_free(struct loading *loading)
{
    if (!loading)
        return;
    loading_forget(loading);
    pthread_mutex_destroy(&loading->lock);
    free(loading);
}

/* The file, read now if it has not been; NULL when there is no memory. */
static struct loaded_file *find(struct loading *loading, const char *path)
{
    struct loaded_file *file = loading->files;
    while (file && strcmp(file->path, path) != 0)
        file = file->next;
    if (file)
        return file;
    file = calloc(1, sizeof *file);
    char *copy = strdup(path);
    if (!file || !copy) {
        free(file);
        free(copy);
        return NULL;
    }
    file->path = copy;
    file->status = text_file_read(path, &file->text, &file->reason);
    file->next = loading->files;
    loading->files = file;
    return file;
}

enum status loading_read(struct loading *loading, const char *path, struct buffer *out, struct reason *reason)
{
    enum status status = STATUS_NO_MEMORY;
    pthread_mutex_lock(&loading->lock);
    const struct loaded_file *file = find(loading, path);
    if (!file) {
        reason_set(reason, "out of memory");
    } else if (file->status) {
        status = file->status;
        reason_set(reason, "%s", file->reason.text);
    } else {
        buffer_clear(out);
        buffer_append(out, file->text.data, file->text.length);
        status = buffer_status(out);
    }
    pthread_mutex_unlock(&loading->lock);
    return status;
}

void loading_choose(struct loading *loading, size_t source, bool chosen)
{
    loading->chosen[source] = chosen;
}

bool loading_is_chosen(const struct loading *loading, size_t source)
{
    return source < loading->sources && loading->chosen[source];
}

void loading_choose_lists(struct loading *loading)
{
    loading->lists = true;
}

bool loading_has_lists(const struct loading *loading)
{
    return loading->lists;
}

void loading_offer(struct loading *loading, const char *const *settings, const struct engine_option *options)
{
    loading->settings = settings;
    loading->options = options;
}

const char *const *loading_settings(const struct loading *loading)
{
    return loading->settings;
}

const struct engine_option *loading_options(const struct loading *loading)
{
    return loading->options;
}
