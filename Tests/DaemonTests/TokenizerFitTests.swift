import Core
import Testing

@testable import Daemon

@Suite("The fit of a tokenizer") struct TokenizerFitTests {
    private let good = TokenizerFit(
        items: 1_000, collisions: 9, error: 0.5, trainingError: 0.4, embeddingModel: "a", trainingEmbeddingModel: "a")

    @Test("A tokenizer of this catalog gives no warning")
    func fits() {
        #expect(good.problem(of: 1) == nil)
    }

    @Test("What no model and no catalog records is no reason for a warning")
    func unknown() {
        let fit = TokenizerFit(
            items: 1_000, collisions: 0, error: 9, trainingError: nil, embeddingModel: "", trainingEmbeddingModel: "a")
        #expect(fit.problem(of: 1) == nil)
    }

    @Test("Many collisions are a warning that gives their share")
    func collisions() {
        var fit = good
        (fit.items, fit.collisions) = (1_000_000, 997_280)
        let problem = fit.problem(of: 3)
        #expect(problem?.code == "daemon.poor_fit")
        #expect(problem?.message.contains("997280 of 1000000 items (99.7 %)") == true, "\(problem?.message ?? "")")
        (fit.items, fit.collisions) = (1_000, 400)
        #expect(fit.problem(of: 3) == nil, "a share at the bound is none")
    }

    @Test("An error far above that of the training is a warning that gives both")
    func error() {
        var fit = good
        fit.error = 0.93
        #expect(fit.problem(of: 1)?.message.contains("0.930, against 0.400 in training") == true)
        fit.error = 0.79
        #expect(fit.problem(of: 1) == nil)
    }

    @Test("Embeddings of another model are a warning, however few items there are")
    func embeddings() {
        var fit = good
        (fit.items, fit.embeddingModel) = (1, "b")
        #expect(fit.problem(of: 1)?.message.contains("'a'") == true)
    }

    @Test("Figures of a few items say nothing")
    func fewItems() {
        var fit = good
        (fit.items, fit.collisions, fit.error) = (99, 99, 99)
        #expect(fit.problem(of: 1) == nil)
    }

    @Test("Several findings are one warning")
    func several() {
        var fit = good
        (fit.collisions, fit.embeddingModel) = (900, "b")
        #expect(fit.findings.count == 2)
    }
}
