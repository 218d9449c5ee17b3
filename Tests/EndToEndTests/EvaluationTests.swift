import Files
import Foundation
import TestSupport
import Testing

/// `letter tokenizer train` and `evaluate` as a user calls them.
@Suite(.timeLimit(.minutes(5))) struct EvaluationCommandTests {
    private static let letter: String = {
        let path = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return URL(fileURLWithPath: path).deletingLastPathComponent().appending(path: "letter").path
    }()

    /// Standard output of a command that must succeed.
    private func letter(_ arguments: String...) throws -> Data {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: Self.letter)
        process.arguments = arguments
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0, "\(arguments)")
        return data
    }

    /// A catalog of 300 items around ten centres, with CF embeddings, two of them with one embedding.
    private func makeCatalog(_ folder: TemporaryDirectory) throws {
        var random = SeededGenerator(seed: 9)
        func rows(_ columns: Int) -> [Float] {
            let centres = (0..<10 * columns).map { _ in Float.random(in: -1...1, using: &random) }
            return (0..<300 * columns).map { place in
                centres[place / columns % 10 * columns + place % columns] + Float.random(in: -0.2...0.2, using: &random)
            }
        }
        var semantic = rows(16)
        semantic.replaceSubrange(16..<32, with: semantic[..<16])
        try NumPyFile.write(folder["semantic.npy"], semantic, columns: 16)
        try NumPyFile.write(folder["cf.npy"], rows(8), columns: 8)
        _ = try letter("catalog", "init", folder["catalog"], "--dimension", "16")
        _ = try letter(
            "catalog", "import", folder["catalog"], "--embeddings", folder["semantic.npy"], "--cf", folder["cf.npy"])
    }

    @Test("evaluation says what training reached, and writes one page that needs nothing else") func evaluates() throws
    {
        let folder = TemporaryDirectory()
        try makeCatalog(folder)
        let lines = try letter(
            "tokenizer", "train", "--catalog", folder["catalog"], "--output", folder["model"], "--widths", "32",
            "--latent", "8", "--codes", "32", "--levels", "3", "--epochs", "32", "--threads", "1", "--json"
        ).split(separator: 0x0A).map { try #require(JSONSerialization.jsonObject(with: $0) as? [String: Any]) }
        // The default settings have all stages, divided as those of a long run are.
        let stages = lines.compactMap { $0["stage"] as? String }
        #expect(stages.count == 32 && stages.filter { $0 == "warm_up" }.count == 15)
        #expect(stages.filter { $0 == "decoder" }.count == 15 && stages.filter { $0 == "quantised" }.count == 2)

        let output = try letter(
            "tokenizer", "evaluate", folder["model"], "--catalog", folder["catalog"], "--json", "--html",
            folder["report.html"])
        let report = try #require(JSONSerialization.jsonObject(with: output) as? [String: Any])
        let collisions = try #require(report["collisions"] as? [String: Any])
        let rate = try #require(collisions["rate"] as? Double)
        let measured = try #require(lines.last?["collision_rate"] as? Double)
        #expect(abs(rate - measured) < 1e-12)
        #expect(rate > 0.99 / 300 && report["items"] as? Int == 300)
        #expect((report["cf_neighbours"] as? [String: Any])?["queries"] as? Int == 300)

        let page = try String(contentsOfFile: folder["report.html"], encoding: .utf8)
        #expect(page.hasPrefix("<!doctype html>") || page.hasPrefix("<!DOCTYPE html>"))
        #expect(page.contains("<svg") && page.contains("</html>"))
        #expect(page.contains(folder["model"].split(separator: "/").last.map(String.init) ?? "?"))
        // Nothing from elsewhere: the name of SVG's namespace is no address that is asked.
        let own = page.replacingOccurrences(of: "xmlns=\"http://www.w3.org/2000/svg\"", with: "")
        for foreign in ["http://", "https://", "src=", "<link", "<script", "@import", "url("] {
            #expect(!own.contains(foreign), "\(foreign)")
        }
        #expect(own != page)
    }

    @Test("the published settings are one option away, and the earlier options mean what they did") func published()
        throws
    {
        let folder = TemporaryDirectory()
        try makeCatalog(folder)
        _ = try letter(
            "tokenizer", "train", "--preset", "published", "--catalog", folder["catalog"], "--output", folder["model"],
            "--widths", "32,16", "--latent", "8", "--codes", "32", "--levels", "3", "--epochs", "3", "--seed", "5",
            "--alpha", "0.03", "--beta", "0.0002", "--threads", "1", "--resume")
        let manifest = try #require(
            JSONSerialization.jsonObject(
                with: Data(contentsOf: URL(fileURLWithPath: folder["model"] + "/manifest.json")))
                as? [String: Any])
        let settings = try #require((manifest["provenance"] as? [String: Any])?["settings"] as? [String: Any])
        #expect(settings["warmup_epochs"] as? Int == 0 && settings["decoder_epochs"] as? Int == 0)
        #expect(settings["final_refit_level"] as? Int == 0 && settings["input_scaling"] == nil)
        #expect(settings["epochs"] as? Int == 3 && settings["seed"] as? Int == 5)
        #expect(settings["hidden_widths"] as? [Int] == [32, 16])
        #expect((settings["alpha"] as? NSNumber)?.floatValue == 0.03)
        #expect((settings["beta"] as? NSNumber)?.floatValue == 0.0002)
        #expect((manifest["input_scaling"] as? [String: Any])?["factor"] as? Double == 4)
    }
}
