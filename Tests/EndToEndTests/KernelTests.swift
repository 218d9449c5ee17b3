import Files
import Foundation
import TestSupport
import Testing

/// The kernels of OpenBLAS that the real `letter` trains with, on this machine's CPU.
@Suite(.timeLimit(.minutes(5))) struct KernelTests {
    /// The fastest kernels for this CPU, by the flags that Linux lists; empty where none are faster than a guess.
    private static let fastest: [String] = {
        let flags = cpuFlags() ?? []
        guard flags.isSuperset(of: ["avx2", "fma"]) else { return [] }
        return flags.isSuperset(of: ["avx512f", "avx512cd", "avx512dq", "avx512bw", "avx512vl"])
            ? ["SkylakeX", "Cooperlake", "SapphireRapids"] : ["Haswell", "Zen"]
    }()

    /// What a training reported of its kernels.
    private struct Training {
        /// The first line of standard error.
        var line: String
        /// From the first line of standard output.
        var kernels: String
        var best: String
        /// What the model's manifest says.
        var createdBy: String
    }

    /// Trains a tiny model. `through` is a shell command line that executes its arguments.
    private func train(environment: [String: String] = [:], through shell: String = "exec \"$@\"") async throws
        -> Training
    {
        let folder = TemporaryDirectory()
        var random = SeededGenerator(seed: 3)
        try NumPyFile.write(folder["semantic.npy"], random.vector(80 * 8), columns: 8)
        let result = try await Site.run(
            "/bin/sh",
            [
                "-c", shell, "sh", Site.products + "/letter", "tokenizer", "train", "--json", "--embeddings",
                folder["semantic.npy"], "--output", folder["model"], "--preset", "published", "--epochs", "2",
                "--widths", "8", "--latent", "4", "--codes", "8", "--levels", "2", "--threads", "1",
            ], environment: environment)
        #expect(result.status == 0, "\(result.errors)")
        let first = try #require(
            JSONSerialization.jsonObject(with: Data(result.output.split(separator: "\n")[0].utf8)) as? [String: Any])
        let manifest = try #require(
            JSONSerialization.jsonObject(
                with: Data(FileSystem.read(folder["model"] + "/manifest.json", limit: 1 << 20)))
                as? [String: Any])
        // What programs have always read from the first line is there too.
        #expect(first["epoch"] as? Int == 1 && first["seconds"] as? Double != nil)
        #expect(first["epoch_seconds"] as? Double != nil)
        return Training(
            line: String(result.errors.split(separator: "\n")[0]), kernels: try #require(first["kernels"] as? String),
            best: try #require(first["best_kernels"] as? String),
            createdBy: try #require((manifest["provenance"] as? [String: Any])?["created_by"] as? String))
    }

    /// A library that makes OpenBLAS guess these kernels, to be preloaded.
    private func library(guessing kernels: String, in folder: TemporaryDirectory) async throws -> String {
        let path = folder["guess-\(kernels).so"]
        let result = try await Site.run(
            "/usr/bin/cc",
            ["-shared", "-fPIC", "-DGUESS=\"\(kernels)\"", Site.scripts + "wrong_guess.c", "-o", path])
        try #require(result.status == 0, "\(result.errors)")
        return path
    }

    @Test func `without a wish of the user the kernels are the best for this CPU, and the training names them`()
        async throws
    {
        let training = try await train()
        #expect(training.kernels == training.best)
        #expect(Self.fastest.isEmpty || Self.fastest.contains(training.kernels), "\(training.kernels)")
        #expect(training.line == "OpenBLAS kernels: \(training.kernels)")
        #expect(training.createdBy.hasSuffix("kernels \(training.kernels)"))
    }

    @Test(.enabled(if: !fastest.isEmpty), arguments: ["Prescott", "Nehalem", "Haswell"])
    func `a wrong guess of OpenBLAS's is corrected by a second start, and by one only`(guess: String) async throws {
        let folder = TemporaryDirectory()
        let preload = ["LD_PRELOAD": try await library(guessing: guess, in: folder)]
        let training = try await train(environment: preload)
        #expect(Self.fastest.contains(training.kernels) && training.best == training.kernels, "\(training.kernels)")
        #expect(training.line == "OpenBLAS kernels: \(training.kernels)")
        // The control: a process that takes itself for the second start keeps the guess, so the guess was forced; and it
        // starts no third time.
        let second = try await train(
            environment: preload, through: "export LETTER_KERNELS_CHOSEN_BY=$$; exec \"$@\"")
        #expect(second.kernels == guess)
        #expect((second.best == guess) == Self.fastest.contains(guess))
        if second.best != guess { #expect(second.line.hasPrefix("warning: ") && second.line.contains("DYNAMIC_ARCH")) }
    }

    @Test(.enabled(if: !fastest.isEmpty))
    func `a user's slower kernels are kept, and the first line of the training warns`() async throws {
        let training = try await train(environment: ["OPENBLAS_CORETYPE": "Prescott"])
        #expect(training.kernels == "Prescott" && Self.fastest.contains(training.best))
        #expect(training.line.hasPrefix("warning: OpenBLAS kernels: Prescott, because OPENBLAS_CORETYPE is 'Prescott'"))
        #expect(training.line.contains(training.best) && training.line.contains("Unset OPENBLAS_CORETYPE"))
        #expect(training.createdBy.hasSuffix("kernels Prescott"))
    }

    @Test(.enabled(if: !fastest.isEmpty))
    func `doctor names the kernels, and fails where the user's are slower`() async throws {
        let site = Site()
        try await site.start()
        func kernels(_ environment: [String: String] = [:]) async throws -> (status: Int32, check: [String: Any]) {
            let result = try await Site.run(
                Site.products + "/letter", ["--socket", site.socket, "doctor", "--json"], environment: environment)
            let answer = try #require(try result.json() as? [String: Any])
            let checks = try #require(answer["checks"] as? [[String: Any]])
            let check = try #require(checks.first { $0["name"] as? String == "kernels" })
            #expect(answer["ok"] as? Bool == checks.allSatisfy { $0["outcome"] as? String == "ok" })
            return (result.status, check)
        }
        let preload = try await library(guessing: "Prescott", in: site.folder)
        for environment in [[:], ["LD_PRELOAD": preload]] {
            let (_, check) = try await kernels(environment)
            #expect(check["outcome"] as? String == "ok" && check["remedy"] == nil)
            let detail = try #require(check["detail"] as? String)
            #expect(Self.fastest.contains { detail == "OpenBLAS: \($0)" }, "\(detail)")
        }
        let (status, check) = try await kernels(["OPENBLAS_CORETYPE": "Prescott"])
        #expect(status == 1 && check["outcome"] as? String == "failed" && check["subject"] as? String == "letter")
        #expect((check["detail"] as? String)?.contains("Prescott") == true)
        #expect((check["remedy"] as? String)?.contains("Unset OPENBLAS_CORETYPE") == true)
        try await site.stop()
    }
}
