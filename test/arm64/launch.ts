/**
 * Loaded before everything else by a Bun that runs in the emulator: there the kernel cannot run the file that
 * `process.execPath` names, so that it becomes the launcher's, which starts that file in the emulator.
 */
const launcher = process.env["BS_TEST_LAUNCHER"];
if (launcher !== undefined) process.execPath = launcher;
