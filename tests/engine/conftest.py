from support.session_fixtures import annotate, engine, held, predictor, session, viewer

__all__ = ["annotate", "engine", "held", "predictor", "session", "viewer"]
