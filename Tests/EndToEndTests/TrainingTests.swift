import Files
import Foundation
import TestSupport
import Testing

/// `letter tokenizer train` as a process that is stopped and killed.
@Suite(.timeLimit(.minutes(10))) struct TrainingTests {
    private static let letter: String = {
        let path = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return URL(fileURLWithPath: path).deletingLastPathComponent().appending(path: "letter").path
    }()

    /// Starts training; `until` says when to send the signal, nil lets it end by itself.
    private func train(
        _ folder: TemporaryDirectory, _ model: String, resume: Bool, signal: Int32? = nil,
        until: () -> Bool = { true }
    ) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Self.letter)
        process.arguments =
            [
                "tokenizer", "train", "--embeddings", folder["semantic.npy"], "--cf", folder["cf.npy"], "--output",
                folder[model], "--widths", "32", "--latent", "8", "--codes", "32", "--levels", "3", "--batch", "64",
                "--epochs", "60", "--evaluation-interval", "5", "--threads", "1", "--checkpoint-interval", "0",
            ] + (resume ? ["--resume"] : [])
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        if let signal {
            let deadline = Date(timeIntervalSinceNow: 60)
            while !until(), process.isRunning, Date() < deadline { usleep(2_000) }
            kill(process.processIdentifier, signal)
        }
        process.waitUntilExit()
        return process
    }

    private func contents(_ folder: TemporaryDirectory, _ model: String) throws -> [Data] {
        try FileManager.default.contentsOfDirectory(atPath: folder[model]).sorted().map {
            try Data(contentsOf: URL(fileURLWithPath: folder[model] + "/" + $0))
        }
    }

    @Test("a run that was killed, stopped and killed again ends with the bytes of one that was left alone")
    func killed() throws {
        let folder = TemporaryDirectory()
        var random = SeededGenerator(seed: 5)
        func write(_ name: String, columns: Int) throws {
            let values = (0..<600 * columns).map { _ in Float.random(in: -1...1, using: &random) }
            try NumPyFile.write(folder[name], values, columns: columns)
        }
        try write("semantic.npy", columns: 16)
        try write("cf.npy", columns: 8)
        let checkpoint = folder["broken.checkpoint"]
        func isThere() -> Bool { FileManager.default.fileExists(atPath: checkpoint) }
        /// Differs when the checkpoint was replaced.
        func stamp() -> Int {
            var status = stat()
            return stat(checkpoint, &status) == 0 ? status.st_mtim.tv_sec * 1_000_000_000 + status.st_mtim.tv_nsec : 0
        }
        #expect(try train(folder, "whole", resume: false).terminationStatus == 0)
        let first = try train(folder, "broken", resume: false, signal: SIGKILL, until: isThere)
        #expect(first.terminationReason == .uncaughtSignal && isThere())
        // Without --resume an unfinished run is not overwritten.
        #expect(try train(folder, "broken", resume: false).terminationStatus == 1)
        var before = stamp()
        let second = try train(folder, "broken", resume: true, signal: SIGTERM, until: { stamp() != before })
        #expect(second.terminationReason == .exit && second.terminationStatus == 75)
        before = stamp()
        _ = try train(folder, "broken", resume: true, signal: SIGKILL, until: { stamp() != before })
        #expect(!FileManager.default.fileExists(atPath: folder["broken"]))
        #expect(try train(folder, "broken", resume: true).terminationStatus == 0)
        #expect(!isThere())
        let (whole, broken) = (try contents(folder, "whole"), try contents(folder, "broken"))
        #expect(whole == broken && whole.count == 2)
    }
}
