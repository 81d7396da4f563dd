/* Passes files to a fuzz target, one after the other: seeds PATH... Names each before its turn, so that the last name
 * is that of the one that fails. Without libFuzzer: for the specs, with any compiler. */
#include "base/text_file.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct buffer bytes = {0};
        struct reason reason = {""};
        printf("%s\n", argv[i]);
        fflush(stdout);
        if (text_file_read_named(argv[i], &bytes, &reason)) {
            fprintf(stderr, "%s\n", reason.text);
            return EXIT_FAILURE;
        }
        /* Of its very size, so that a look behind its end is seen. */
        uint8_t *exact = malloc(bytes.length ? bytes.length : 1);
        if (!exact)
            return EXIT_FAILURE;
        if (bytes.length)
            memcpy(exact, bytes.data, bytes.length);
        (void)LLVMFuzzerTestOneInput(exact, bytes.length);
        free(exact);
        buffer_free(&bytes);
    }
    return EXIT_SUCCESS;
}
