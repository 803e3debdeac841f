"use strict";
// Runs beside the page: averages the microphone's samples down to the rate of the voice network,
// and hands on 16-bit pieces of a tenth of a second.

class Sender extends AudioWorkletProcessor {
  constructor(options) {
    super();
    this.step = sampleRate / options.processorOptions.rate;
    this.piece = new Int16Array(Math.round(options.processorOptions.rate / 10));
    this.filled = 0;
    this.sum = 0;
    this.weight = 0;
  }

  process(inputs) {
    const channels = inputs[0];
    if (!channels.length) return true;
    for (let i = 0; i < channels[0].length; i++) {
      let sample = 0;
      for (const channel of channels) sample += channel[i] / channels.length;
      this.sum += sample;
      this.weight += 1;
      if (this.weight >= this.step) {
        const rest = this.weight - this.step; // part of the sample that belongs to the next one
        this.put((this.sum - rest * sample) / this.step);
        this.sum = rest * sample;
        this.weight = rest;
      }
    }
    return true;
  }

  put(value) {
    this.piece[this.filled++] = Math.max(-32768, Math.min(32767, Math.round(value * 32767)));
    if (this.filled === this.piece.length) {
      this.port.postMessage(this.piece.slice());
      this.filled = 0;
    }
  }
}

registerProcessor("sender", Sender);
