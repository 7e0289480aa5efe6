/*
 * Converts PCM16 mono with libsoxr's "HQ" recipe, chunk by chunk, for bench/resampler/native-soxr.ts.
 *
 *   soxr version                       prints the library's version
 *   soxr convert FROM TO CHUNK         converts standard input to standard output
 *   soxr time FROM TO CHUNK COUNT      for every byte read from standard input converts COUNT chunks of noise, after
 *                                      half as many uncounted, and prints the microseconds that one took, on average
 *
 * FROM and TO are sample rates, CHUNK is a number of samples.
 */
#include <soxr.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static soxr_t open_stream(double from, double to) {
  soxr_io_spec_t io = soxr_io_spec(SOXR_INT16_I, SOXR_INT16_I);
  /* The others do not dither either. */
  io.flags |= SOXR_NO_DITHER;
  soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
  soxr_runtime_spec_t runtime = soxr_runtime_spec(1);
  soxr_error_t error = NULL;
  soxr_t stream = soxr_create(from, to, 1, &error, &io, &quality, &runtime);
  if (error != NULL) {
    fprintf(stderr, "%s\n", soxr_strerror(error));
    exit(1);
  }
  return stream;
}

static size_t process(soxr_t stream, const int16_t *in, size_t in_count, int16_t *out, size_t room) {
  size_t used = 0;
  size_t made = 0;
  soxr_error_t error = soxr_process(stream, in, in_count, &used, out, room, &made);
  if (error != NULL) {
    fprintf(stderr, "%s\n", soxr_strerror(error));
    exit(1);
  }
  if (in != NULL && used != in_count) {
    fprintf(stderr, "libsoxr left samples over\n");
    exit(1);
  }
  return made;
}

static double now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "version") == 0) {
    printf("%s\n", soxr_version());
    return 0;
  }
  if (argc < 5) {
    fprintf(stderr, "see the comment in soxr.c\n");
    return 2;
  }
  double from = atof(argv[2]);
  double to = atof(argv[3]);
  size_t chunk = (size_t)atol(argv[4]);
  /* libsoxr works in blocks and may hand out several chunks' worth at once. */
  size_t room = (size_t)((double)chunk * to / from) + 65536;
  int16_t *in = malloc(chunk * sizeof *in);
  int16_t *out = malloc(room * sizeof *out);
  if (in == NULL || out == NULL) return 1;
  soxr_t stream = open_stream(from, to);

  if (strcmp(argv[1], "convert") == 0) {
    size_t got;
    while ((got = fread(in, sizeof *in, chunk, stdin)) > 0) {
      fwrite(out, sizeof *out, process(stream, in, got, out, room), stdout);
    }
    size_t made;
    while ((made = process(stream, NULL, 0, out, room)) > 0) fwrite(out, sizeof *out, made, stdout);
  } else if (strcmp(argv[1], "time") == 0 && argc == 6) {
    long count = atol(argv[5]);
    for (size_t i = 0; i < chunk; i++) in[i] = (int16_t)(rand() % 65536 - 32768);
    while (getchar() != EOF) {
      for (long i = 0; i < count / 2; i++) process(stream, in, chunk, out, room);
      double start = now_us();
      for (long i = 0; i < count; i++) process(stream, in, chunk, out, room);
      printf("%.4f\n", (now_us() - start) / (double)count);
      fflush(stdout);
    }
  } else {
    fprintf(stderr, "see the comment in soxr.c\n");
    return 2;
  }
  soxr_delete(stream);
  free(in);
  free(out);
  return 0;
}
