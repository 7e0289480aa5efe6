import { warmUpResamplers } from '../../audio/resampler.ts';
import { downlinkJob } from './downlink-job.ts';
import { fileJob } from './file-job.ts';
import type { AudioJob, AudioJobResult } from './jobs.ts';
import { uplinkJob } from './uplink-job.ts';

// No call's first chunk pays for it.
warmUpResamplers();

/** The audio pool's task: a batch of jobs, each of a call of its own. */
export default function runAudioJobs(jobs: readonly AudioJob[]): AudioJobResult[] {
  return jobs.map(runJob);
}

function runJob(job: AudioJob): AudioJobResult {
  switch (job.kind) {
    case 'up':
      return uplinkJob(job);
    case 'down':
      return downlinkJob(job);
    case 'file':
      return fileJob(job);
  }
}
