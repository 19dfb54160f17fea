-- Online courses: catalogue, lessons, enrolments, quizzes and certificates.

CREATE TABLE lms_instructors (
    id         uuid PRIMARY KEY,
    user_id    uuid UNIQUE REFERENCES users ON DELETE SET NULL,
    name       text NOT NULL,
    slug       text NOT NULL UNIQUE,
    headline   text,
    bio        text,
    photo_id   uuid REFERENCES uploads ON DELETE SET NULL,
    is_active  boolean NOT NULL DEFAULT true,
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    updated_at timestamptz(3) NOT NULL DEFAULT now()
);

CREATE TABLE lms_courses (
    id              uuid PRIMARY KEY,
    title           text NOT NULL,
    slug            text NOT NULL UNIQUE,
    summary         text,
    description     text,
    outcomes        jsonb,
    instructor_id   uuid NOT NULL REFERENCES lms_instructors ON DELETE RESTRICT,
    category        text,
    level           text NOT NULL DEFAULT 'beginner' CHECK (level IN ('beginner', 'intermediate', 'advanced')),
    price           numeric(12,2) NOT NULL DEFAULT 0.00 CHECK (price >= 0),
    cover_id        uuid REFERENCES uploads ON DELETE SET NULL,
    has_certificate boolean NOT NULL DEFAULT true,
    status          text NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'published', 'archived')),
    published_at    timestamptz(3),
    version         integer NOT NULL DEFAULT 1,
    created_at      timestamptz(3) NOT NULL DEFAULT now(),
    updated_at      timestamptz(3) NOT NULL DEFAULT now()
);
CREATE INDEX ON lms_courses (status, published_at);
CREATE INDEX ON lms_courses (category);

CREATE TABLE lms_sections (
    id         uuid PRIMARY KEY,
    course_id  uuid NOT NULL REFERENCES lms_courses ON DELETE CASCADE,
    title      text NOT NULL,
    position   integer NOT NULL,
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    updated_at timestamptz(3) NOT NULL DEFAULT now()
);
CREATE INDEX ON lms_sections (course_id, position);

CREATE TABLE lms_lessons (
    id               uuid PRIMARY KEY,
    course_id        uuid NOT NULL REFERENCES lms_courses ON DELETE CASCADE,
    section_id       uuid NOT NULL REFERENCES lms_sections ON DELETE RESTRICT,
    title            text NOT NULL,
    kind             text NOT NULL DEFAULT 'article' CHECK (kind IN ('article', 'video', 'quiz')),
    content          text,
    video_id         uuid REFERENCES uploads ON DELETE SET NULL,
    attachment_id    uuid REFERENCES uploads ON DELETE SET NULL,
    duration_minutes integer NOT NULL DEFAULT 5,
    is_free_preview  boolean NOT NULL DEFAULT false,
    position         integer NOT NULL,
    version          integer NOT NULL DEFAULT 1,
    created_at       timestamptz(3) NOT NULL DEFAULT now(),
    updated_at       timestamptz(3) NOT NULL DEFAULT now()
);
CREATE INDEX ON lms_lessons (course_id, section_id, position);

CREATE TABLE lms_enrollments (
    id               uuid PRIMARY KEY,
    user_id          uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    course_id        uuid NOT NULL REFERENCES lms_courses ON DELETE RESTRICT,
    status           text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'completed', 'cancelled')),
    progress_percent integer NOT NULL DEFAULT 0,
    last_lesson_id   uuid REFERENCES lms_lessons ON DELETE SET NULL,
    order_id         uuid REFERENCES orders ON DELETE SET NULL,
    completed_at     timestamptz(3),
    cancelled_at     timestamptz(3),
    created_at       timestamptz(3) NOT NULL DEFAULT now(),
    updated_at       timestamptz(3) NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX lms_enrollments_user_id_course_id_key ON lms_enrollments (user_id, course_id)
    WHERE status <> 'cancelled';
CREATE INDEX ON lms_enrollments (course_id, status);
CREATE INDEX ON lms_enrollments (user_id, status);

CREATE TABLE lms_lesson_progress (
    id               uuid PRIMARY KEY,
    enrollment_id    uuid NOT NULL REFERENCES lms_enrollments ON DELETE CASCADE,
    lesson_id        uuid NOT NULL REFERENCES lms_lessons ON DELETE CASCADE,
    position_seconds integer NOT NULL DEFAULT 0,
    completed_at     timestamptz(3),
    created_at       timestamptz(3) NOT NULL DEFAULT now(),
    updated_at       timestamptz(3) NOT NULL DEFAULT now(),
    UNIQUE (enrollment_id, lesson_id)
);

CREATE TABLE lms_quizzes (
    id                 uuid PRIMARY KEY,
    lesson_id          uuid NOT NULL UNIQUE REFERENCES lms_lessons ON DELETE CASCADE,
    title              text NOT NULL,
    pass_percent       integer NOT NULL DEFAULT 70,
    max_attempts       integer,
    time_limit_minutes integer,
    shuffle_questions  boolean NOT NULL DEFAULT false,
    version            integer NOT NULL DEFAULT 1,
    created_at         timestamptz(3) NOT NULL DEFAULT now(),
    updated_at         timestamptz(3) NOT NULL DEFAULT now()
);

CREATE TABLE lms_quiz_questions (
    id          uuid PRIMARY KEY,
    quiz_id     uuid NOT NULL REFERENCES lms_quizzes ON DELETE CASCADE,
    kind        text NOT NULL CHECK (kind IN ('single', 'multiple', 'true_false', 'short_text')),
    prompt      text NOT NULL,
    options     jsonb,
    correct     jsonb NOT NULL,
    points      integer NOT NULL DEFAULT 1,
    explanation text,
    position    integer NOT NULL DEFAULT 0,
    created_at  timestamptz(3) NOT NULL DEFAULT now(),
    updated_at  timestamptz(3) NOT NULL DEFAULT now()
);
CREATE INDEX ON lms_quiz_questions (quiz_id, position);

-- questions keeps what was asked, with solutions, so that later edits leave graded attempts alone.
CREATE TABLE lms_quiz_attempts (
    id            uuid PRIMARY KEY,
    quiz_id       uuid NOT NULL REFERENCES lms_quizzes ON DELETE CASCADE,
    enrollment_id uuid NOT NULL REFERENCES lms_enrollments ON DELETE CASCADE,
    number        integer NOT NULL,
    status        text NOT NULL DEFAULT 'in_progress' CHECK (status IN ('in_progress', 'graded', 'expired')),
    questions     jsonb NOT NULL,
    answers       jsonb,
    score         integer,
    max_points    integer NOT NULL,
    percent       integer,
    passed        boolean,
    deadline_at   timestamptz(3),
    submitted_at  timestamptz(3),
    created_at    timestamptz(3) NOT NULL DEFAULT now(),
    updated_at    timestamptz(3) NOT NULL DEFAULT now(),
    UNIQUE (enrollment_id, quiz_id, number)
);
CREATE UNIQUE INDEX lms_quiz_attempts_enrollment_id_quiz_id_key ON lms_quiz_attempts (enrollment_id, quiz_id)
    WHERE status = 'in_progress';

CREATE TABLE lms_certificates (
    id             uuid PRIMARY KEY,
    enrollment_id  uuid UNIQUE REFERENCES lms_enrollments ON DELETE SET NULL,
    user_id        uuid REFERENCES users ON DELETE SET NULL,
    course_id      uuid REFERENCES lms_courses ON DELETE SET NULL,
    number         text NOT NULL UNIQUE,
    recipient_name text NOT NULL,
    course_title   text NOT NULL,
    issued_at      timestamptz(3) NOT NULL,
    revoked_at     timestamptz(3),
    revoke_reason  text,
    created_at     timestamptz(3) NOT NULL DEFAULT now(),
    updated_at     timestamptz(3) NOT NULL DEFAULT now()
);
