/* Captions of pictures, for programs in C and in whatever speaks C. capdiff.hpp is the same for C++.
 *
 *   capdiff_model* model;
 *   capdiff_captions* captions;
 *   capdiff_picture picture = {bytes, size, 0, 0};
 *   if (capdiff_open(NULL, NULL, &model) != CAPDIFF_OK) return puts(capdiff_last_error());
 *   if (capdiff_caption(model, &picture, 1, "{\"preset\": \"best\"}", &captions) == CAPDIFF_OK)
 *     puts(capdiff_text(captions, 0));
 *   capdiff_free(captions);
 *   capdiff_close(model);
 *
 * No exception leaves these functions. Texts are UTF-8, terminated by 0. A model may be used by several threads: calls
 * wait for each other. After a fork the child computes with models of one thread only. */
#ifndef CAPDIFF_H
#define CAPDIFF_H

#include <stddef.h>

#if defined(__GNUC__)
#define CAPDIFF_API __attribute__((visibility("default")))
#else
#define CAPDIFF_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum capdiff_status {
  CAPDIFF_OK = 0,
  CAPDIFF_USAGE = 1,         /* an argument or option is wrong */
  CAPDIFF_NOT_FOUND = 2,     /* there is no such file or folder */
  CAPDIFF_INVALID_INPUT = 3, /* a picture is damaged, or no picture */
  CAPDIFF_INVALID_MODEL = 4, /* a model folder is damaged or does not fit */
  CAPDIFF_UNSUPPORTED = 5,   /* well-formed, but not something this model or build can do */
  CAPDIFF_IO = 6,            /* the operating system refused to read */
  CAPDIFF_NO_MEMORY = 7,
  CAPDIFF_INTERNAL = 8 /* a mistake of capdiff's own */
} capdiff_status;

typedef struct capdiff_model capdiff_model;
typedef struct capdiff_captions capdiff_captions;

/* A file in memory, of any kind that `capdiff caption` reads: width and height are 0. Or pixels: 8-bit RGB, [height,
 * width, 3] without padding. */
typedef struct capdiff_picture {
  const void* data;
  size_t size; /* bytes; 3 * width * height for pixels */
  int width, height;
} capdiff_picture;

/* "0.1.0" */
CAPDIFF_API const char* capdiff_version(void);

/* Why the latest call of this thread that failed did so: a sentence that names the file, picture or option. It lives
 * until the next call of this thread. */
CAPDIFF_API const char* capdiff_last_error(void);

/* Loads the model folder; NULL: that of $CAPDIFF_MODEL, else the one that was installed with the library, else
 * capdiff/models/default in the user's data folder. `settings` is a JSON object or NULL:
 *   "dtype": "auto" | "f32" | "bf16" | "int8"    arithmetic, as of `capdiff caption --dtype`
 *   "threads": N                                 0: all processors
 *   "deterministic": true                        results do not depend on batch and threads, to the last bit
 *   "clip": DIR                                  a CLIP for "select": "clip" */
CAPDIFF_API capdiff_status capdiff_open(const char* folder, const char* settings, capdiff_model** model);
/* NULL is allowed. */
CAPDIFF_API void capdiff_close(capdiff_model* model);

/* A caption for each picture, in order. `options` is a JSON object or NULL: the keys of generation_config.json
 * ("steps", "guidance", "seed", "candidates", "select", "refine" …) over the model's own, "length": exactly so many
 * words, and "preset": "fast" | "best" under both. Fails as a whole where one picture cannot be read. */
CAPDIFF_API capdiff_status capdiff_caption(capdiff_model* model, const capdiff_picture* pictures, size_t count,
                                           const char* options, capdiff_captions** captions);
/* Words in the blanks of "a [MASK] [MASK] on the grass"; "[MASK:2-4]" is two to four words. */
CAPDIFF_API capdiff_status capdiff_fill(capdiff_model* model, const capdiff_picture* picture, const char* sentence,
                                        const char* options, capdiff_captions** captions);

CAPDIFF_API size_t capdiff_count(const capdiff_captions* captions);
/* The caption of picture i; NULL where there is none. Texts live as long as `captions`. */
CAPDIFF_API const char* capdiff_text(const capdiff_captions* captions, size_t i);
/* [{"caption": …, "candidates": [{"text", "score", "seed", "relevance"}, …]}, …] */
CAPDIFF_API const char* capdiff_json(const capdiff_captions* captions);
/* NULL is allowed. */
CAPDIFF_API void capdiff_free(capdiff_captions* captions);

#ifdef __cplusplus
}
#endif

#endif
