// Preloaded into a program: makes OpenBLAS take the kernels GUESS (a string, given when this is compiled) unless the
// environment names others, as if it did not know the CPU. The program itself sees the true environment.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

char *getenv(const char *name) {
    static char *(*original)(const char *);
    if (!original) original = (char *(*)(const char *))dlsym(RTLD_NEXT, "getenv");
    char *value = original(name);
    if (!value && strcmp(name, "OPENBLAS_CORETYPE") == 0) {
        Dl_info caller;
        if (dladdr(__builtin_return_address(0), &caller) && caller.dli_fname && strstr(caller.dli_fname, "openblas")) {
            return GUESS;
        }
    }
    return value;
}
